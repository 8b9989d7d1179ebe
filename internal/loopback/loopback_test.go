package loopback_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/loopback"
)

func TestFreePort(t *testing.T) {
	t.Parallel()
	port, err := loopback.FreePort(t.Context())
	require.NoError(t, err)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.NoError(t, err)
	require.NoError(t, listener.Close())
}

package s3server_test

import (
	"errors"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServerDiesWithKilledProcess(t *testing.T) {
	t.Parallel()
	endpoint := killedProcess(t)
	require.Eventually(t, func() bool {
		resp, err := http.Get(endpoint)
		if err == nil {
			_ = resp.Body.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, 30*time.Second, 20*time.Millisecond)
}

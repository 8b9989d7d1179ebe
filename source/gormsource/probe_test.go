package gormsource_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// TestProbeWaitsForAConnection: when the host's own requests would wait, so does a
// probe.
func TestProbeWaitsForAConnection(t *testing.T) {
	t.Parallel()
	db := openSQLite(t)
	var source bulkexport.SourceProbe = newRepository(t, db)
	require.NoError(t, source.Probe(t.Context()))

	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	conn, err := pool.Conn(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, source.Probe(ctx), context.DeadlineExceeded)
	require.NoError(t, conn.Close())
	require.NoError(t, source.Probe(t.Context()))
}

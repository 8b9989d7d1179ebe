//go:build unix

package reliability_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"

	"github.com/bulkexport/bulkexport/internal/pgtest"
)

// TestPostgresIsRestarted stops the database in the middle of an export, long
// enough for leases to lapse, and starts it again.
func TestPostgresIsRestarted(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	dsn := cluster.DSN(t)
	run := newCampaign(t, t.TempDir(), postgres.Open(dsn), "-db", dsn)
	run.begin(nil, nil)
	run.tolerant = true
	w := startBusyWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
	for _, length := range []time.Duration{10 * time.Millisecond, 2 * lease} {
		w.awaitDone(w.done.Load() + 200)
		require.True(t, w.running())
		end := cluster.Outage(t)
		pause(t, length)
		got := run.must(t, http.MethodGet, run.any()+w.job)
		require.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
		require.Regexp(t, `^[1-9]\d*$`, got.header.Get("Retry-After"))
		require.Contains(t, got.body, `"resourceType":"OperationOutcome"`)
		require.NotContains(t, got.body, "127.0.0.1", "what is wrong is for the log")
		end()
	}
	w.await()
	w.end()
	require.Positive(t, w.answers[http.StatusServiceUnavailable])
	requireSame(t, run.want, run.read(t, run.any(), w.job))
	t.Logf("%d parts taken over, answers by status: %v", run.repeats(w.job), w.answers)
	run.requireClean()
}

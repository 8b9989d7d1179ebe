//go:build unix

package reliability_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"

	"github.com/bulkexport/bulkexport/internal/pgtest"
)

// proxied is a campaign on PostgreSQL with two servers, each behind a proxy.
func proxied(t *testing.T) (run *campaign, proxies [2]*proxy) {
	t.Helper()
	dsn := pgtest.DSN(t)
	run = newCampaign(t, t.TempDir(), postgres.Open(dsn), "-db", dsn)
	each := make([][]string, len(proxies))
	for i := range proxies {
		var through string
		proxies[i], through = startProxyTo(t, dsn)
		each[i] = []string{"-db", through, "-stall-timeout", "3s"}
	}
	run.begin(each...)
	run.tolerant = true
	return run, proxies
}

// finish waits for an export and compares it with the undisturbed one.
func (run *campaign) finish(w *watch) {
	run.Helper()
	w.await()
	w.end()
	// Who meets a connection that is lost waits for half a minute: new processes
	// have none.
	run.killAll()
	run.restart()
	requireSame(run.T, run.want, run.read(run.T, run.any(), w.job))
	run.Logf("%d parts taken over, answers by status: %v", run.repeats(w.job), w.answers)
	run.requireClean()
}

func TestConnectionsToPostgresAreCut(t *testing.T) {
	t.Parallel()
	run, proxies := proxied(t)
	w := startBusyWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
	cuts := 0
	for n := 0; n < 20 && w.running(); n++ {
		pause(t, run.upTo(150*time.Millisecond))
		cuts += proxies[run.random.IntN(len(proxies))].cut()
	}
	t.Logf("%d connections cut", cuts)
	run.finish(w)
}

// TestPostgresAnswersLate has the database answer one server after its lease, when
// the other one has taken its parts over: what it has on its way is refused.
func TestPostgresAnswersLate(t *testing.T) {
	t.Parallel()
	run, proxies := proxied(t)
	w := startBusyWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
	for n := range 2 {
		w.awaitDone(w.done.Load() + 200)
		release := proxies[n].hold()
		pause(t, 2*lease)
		release()
	}
	first, second := proxies[0].hold(), proxies[1].hold()
	pause(t, 2*lease)
	first()
	second()
	run.finish(w)
}

// TestConnectionsToPostgresAreLost has connections that are silent for ever, as
// behind a router that has forgotten them: neither end hears of it for hours. Who
// reads gives up after -stall-timeout, who asks the store after half a minute.
func TestConnectionsToPostgresAreLost(t *testing.T) {
	t.Parallel()
	run, proxies := proxied(t)
	w := startBusyWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
	w.awaitDone(200)
	require.True(t, w.running())
	proxies[0].lose()
	run.finish(w)
}

// TestConnectionIsLostInATransaction has a transaction that neither commits nor
// ends, and holds its locks: that which claims a part, and that which fixes
// transactionTime.
func TestConnectionIsLostInATransaction(t *testing.T) {
	t.Parallel()
	for _, last := range []string{"UPDATE bulkexport_parts", "UPDATE bulkexport_clock"} {
		t.Run(last, func(t *testing.T) {
			t.Parallel()
			run, proxies := proxied(t)
			proxies[0].loseAfter(last)
			proxies[1].loseAfter(last)
			w := startBusyWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
			require.Eventually(t, func() bool { return proxies[0].sprung() || proxies[1].sprung() },
				patience, time.Millisecond)
			run.finish(w)
		})
	}
}

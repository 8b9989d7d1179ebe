//go:build unix

package reliability_test

import (
	"net/http"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// TestKilledWorkersPartsAreTakenOver measures how long the parts of a killed
// server lie there. By design that is at most the lease (1 s) and the time to
// the next sweep of the other server (a third of it); then they stand in line
// behind what is due already. Here there is a worker for each, so no line.
func TestKilledWorkersPartsAreTakenOver(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	run := newCampaign(t, t.TempDir(), postgres.Open(dsn), "-db", dsn)
	workers := []string{"-workers", "40"}
	run.begin(workers, workers)
	var took []time.Duration
	for kills := killsWanted(t) / 3; run.kills < kills; {
		took = append(took, run.takeOver(kills)...)
	}
	slices.Sort(took)
	require.NotEmpty(t, took)
	t.Logf("%d kills, %d parts taken over after %v (least), %v (median), %v (most)", run.kills, len(took),
		took[0].Round(time.Millisecond), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	run.requireClean()
}

// TestFrozenWorkerWakesAfterDeletion has a server that sleeps while its job is
// deleted, with all records, and then goes on with the file that it was at.
func TestFrozenWorkerWakesAfterDeletion(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	run := newCampaign(t, t.TempDir(), postgres.Open(dsn), "-db", dsn)
	run.begin(nil, nil)
	for range max(killsWanted(t)/10, 2) {
		w := startWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
		w.awaitDone(run.random.Int64N(400))
		w.end()
		thaw := run.freeze(0)
		require.Equal(t, http.StatusNoContent, run.must(t, http.MethodDelete, run.any()+w.job).status)
		run.requireClean()
		thaw()
		run.terminate(0) // which waits for what it does
		run.requireClean()
		run.restart()
	}
}

// takeOver exports once, kills the one server and then the other, and returns
// how long their parts waited each time.
func (run *campaign) takeOver(kills int) (took []time.Duration) {
	run.Helper()
	w := startWatch(run.T, run.fleet, run.client, run.kickOff(run.T, run.any(), ""))
	run.withDatabase(func(db *gorm.DB) error {
		store, err := gormstore.New(db)
		if err != nil {
			return err
		}
		for n := 0; w.running() && run.kills < kills; n++ {
			w.awaitDone(w.done.Load() + run.random.Int64N(200))
			run.kill(n % 2)
			took = append(took, run.awaitTakeOver(store, path.Base(w.job))...)
			run.restart()
		}
		return nil
	})
	w.await()
	w.end()
	requireSame(run.T, run.want, run.read(run.T, run.any(), w.job))
	run.deleteAndKill(w.job)
	return took
}

// awaitTakeOver returns how long each part waited whose worker has just died: a
// part that is claimed, and is claimed again before it is done. All others
// belong to workers that live.
func (run *campaign) awaitTakeOver(store *gormstore.Store, job string) (took []time.Duration) {
	run.Helper()
	killed := time.Now()
	claimed := map[int]int{} // attempts by part
	for n, part := range run.partsOf(store, job) {
		if !part.Done && !part.LeaseUntil.IsZero() {
			claimed[n] = part.Attempt
		}
	}
	require.Eventually(run, func() bool {
		for n, part := range run.partsOf(store, job) {
			attempt, waiting := claimed[n]
			switch {
			case !waiting:
			case part.Attempt > attempt:
				took = append(took, time.Since(killed))
				delete(claimed, n)
			case part.Done:
				delete(claimed, n)
			}
		}
		return len(claimed) == 0
	}, patience, 2*time.Millisecond)
	return took
}

func (run *campaign) partsOf(store *gormstore.Store, job string) []bulkexport.Part {
	run.Helper()
	parts, err := store.Parts(run.Context(), job)
	require.NoError(run, err)
	return parts
}

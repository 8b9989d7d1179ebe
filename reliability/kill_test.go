//go:build unix

package reliability_test

import (
	"math/rand/v2"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// lease is how long a dead worker's part stays its own.
const lease = time.Second

// records are about 1,350 resources, in about 75 files.
func records() []string {
	return []string{"-generate", "30", "-max-file-resources", "20", "-lease", lease.String(), "-workers", "2"}
}

func TestKillsOnSQLite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := newCampaign(t, dir, sqlite.Open("file:"+filepath.Join(dir, "bulkexport.db")+"?_busy_timeout=10000"))
	run.begin(nil)
	run.untilKilled(killsWanted(t))
}

func TestKillsOnPostgres(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	run := newCampaign(t, t.TempDir(), postgres.Open(dsn), "-db", dsn)
	run.begin(nil, nil)
	run.untilKilled(killsWanted(t))
}

// campaign kills the servers of a fleet while they export.
type campaign struct {
	*testing.T
	*fleet
	*client

	random   *rand.Rand
	args     []string // of all its servers
	dir      string
	database gorm.Dialector
	want     export

	exports, freezes, takeOvers, bytes int
}

// newCampaign exports once without disturbance, for comparison.
func newCampaign(t *testing.T, dir string, database gorm.Dialector, args ...string) *campaign {
	t.Helper()
	run := &campaign{T: t, client: newClient(t), random: seeded(t), dir: dir, database: database}
	run.args = slices.Concat(records(), []string{"-dir", dir}, args)
	run.fleet = startFleet(t, run.args, nil)
	w := startWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
	w.await()
	run.want = run.read(t, run.any(), w.job)
	require.Greater(t, len(run.want.files), 50)
	run.terminate(0)
	return run
}

// begin starts servers on the same data, with a brake, and for each what else
// it is to be told.
func (run *campaign) begin(each ...[]string) {
	run.Helper()
	run.fleet = startFleet(run.T, slices.Concat(run.args, []string{"-rate", "800"}), each...)
}

// untilKilled exports again and again, until so many kills were survived.
func (run *campaign) untilKilled(kills int) {
	run.Helper()
	began := time.Now()
	for run.kills < kills {
		run.export(kills)
	}
	run.requireClean()
	run.Logf("%d kills, %d freezes, %d exports, %d parts taken over, %d bytes compared, %v",
		run.kills, run.freezes, run.exports, run.takeOvers, run.bytes, time.Since(began).Round(time.Millisecond))
}

// export is one export, disturbed all the way from its kick-off to its deletion.
func (run *campaign) export(kills int) {
	run.Helper()
	partial := run.exports%2 == 1
	query := ""
	if partial { // such manifests show transactionTime while the export runs
		query = "?allowPartialManifests=true"
	}
	job := run.kickOff(run.T, run.any(), query)
	if !partial {
		run.killAll() // before there is a plan
		run.restart()
	}
	w := startWatch(run.T, run.fleet, run.client, job)
	for range 7 + run.random.IntN(5) {
		if !w.running() || run.kills >= kills {
			break
		}
		run.awaitMoment(w)
		run.disturb()
	}
	if w.running() { // one more when it is about to be completed
		w.awaitDone(run.total() - 20)
		pause(run.T, run.upTo(100*time.Millisecond))
		run.killAll()
		run.restart()
	}
	w.await()
	w.end()
	got := run.read(run.T, run.any(), job)
	require.Equal(run, w.transactionTime, got.transactionTime)
	requireSame(run.T, run.want, got)
	run.takeOvers += run.repeats(job)
	run.exports++
	run.bytes += got.bytes
	run.deleteAndKill(job)
}

// awaitMoment waits for a moment at which something is done: after some time, or
// after some resources.
func (run *campaign) awaitMoment(w *watch) {
	run.Helper()
	if run.random.IntN(2) == 0 {
		pause(run.T, run.upTo(400*time.Millisecond))
		return
	}
	w.awaitDone(w.done.Load() + run.random.Int64N(300))
}

// disturb kills some servers, or freezes one for longer than its lease.
func (run *campaign) disturb() {
	run.Helper()
	one := run.random.IntN(len(run.servers))
	switch others := len(run.servers) > 1; {
	case others && (run.freezes == 0 || run.random.IntN(10) == 0):
		thaw := run.freeze(one)
		pause(run.T, lease+run.upTo(lease))
		thaw()
		run.freezes++
	case others && run.random.IntN(4) > 0:
		run.kill(one)
		pause(run.T, run.upTo(300*time.Millisecond))
	default:
		run.killAll()
	}
	if run.random.IntN(4) == 0 {
		run.killWhileStarting(one, run.upTo(150*time.Millisecond))
	}
	run.restart()
}

func (run *campaign) killAll() {
	run.Helper()
	for i := range run.servers {
		run.kill(i)
	}
}

// restart starts the servers that are down.
func (run *campaign) restart() {
	run.Helper()
	for i := range run.servers {
		if run.get(i) == nil {
			run.start(i)
		}
	}
}

// deleteAndKill kills the server that has been asked to delete a job.
func (run *campaign) deleteAndKill(job string) {
	run.Helper()
	answered := make(chan answer, 1)
	base := run.any()
	go func() {
		got, _ := run.do(run.Context(), http.MethodDelete, base+job) // it may have been killed
		answered <- got
	}()
	pause(run.T, run.upTo(5*time.Millisecond))
	run.kill(0)
	got := <-answered
	run.restart()
	status := run.must(run.T, http.MethodGet, run.any()+job).status
	if got.status != 0 {
		require.Equal(run, http.StatusNoContent, got.status)
		require.Equal(run, http.StatusNotFound, status, "what was confirmed holds")
	}
	if status != http.StatusNotFound {
		require.Equal(run, http.StatusOK, status)
		require.Equal(run, http.StatusNoContent, run.must(run.T, http.MethodDelete, run.any()+job).status)
	}
	for i := range run.servers {
		require.Equal(run, http.StatusNotFound, run.must(run.T, http.MethodGet, run.get(i).BaseURL+job).status)
	}
}

// requireClean requires that nothing is left of any job, in the end.
func (run *campaign) requireClean() {
	run.Helper()
	base := run.any()
	for _, job := range run.jobs() { // that of the undisturbed export
		if job.State == bulkexport.JobCompleted {
			require.Equal(run, http.StatusNoContent, run.must(run.T, http.MethodDelete, base+"/bulk-export/"+job.ID).status)
		}
	}
	require.Eventually(run, func() bool {
		entries, err := os.ReadDir(filepath.Join(run.dir, "files"))
		require.NoError(run, err)
		return len(entries) == 0 && len(run.jobs()) == 0 && run.count("bulkexport_parts") == 0
	}, patience, 50*time.Millisecond)
}

func (run *campaign) upTo(d time.Duration) time.Duration {
	return time.Duration(run.random.Int64N(int64(d)))
}

// total is how many resources an export has.
func (run *campaign) total() (lines int64) {
	for _, content := range run.want.files {
		lines += int64(strings.Count(content, "\n"))
	}
	return lines
}

// withDatabase looks into the database, and closes it again, so that a server
// that starts finds it as a crash has left it.
func (run *campaign) withDatabase(look func(*gorm.DB) error) {
	run.Helper()
	db, err := gorm.Open(run.database, &gorm.Config{Logger: logger.Discard})
	require.NoError(run, err)
	pool, err := db.DB()
	require.NoError(run, err)
	defer func() { require.NoError(run, pool.Close()) }()
	require.NoError(run, look(db))
}

func (run *campaign) jobs() (jobs []bulkexport.Job) {
	run.Helper()
	run.withDatabase(func(db *gorm.DB) error {
		store, err := gormstore.New(db)
		if err == nil {
			jobs, err = store.Jobs(run.Context(), bulkexport.JobFilter{})
		}
		return err
	})
	return jobs
}

func (run *campaign) count(table string) (n int64) {
	run.Helper()
	run.withDatabase(func(db *gorm.DB) error { return db.Table(table).Count(&n).Error })
	return n
}

// repeats is how many attempts of a job others had to take over.
func (run *campaign) repeats(job string) (n int) {
	run.Helper()
	run.withDatabase(func(db *gorm.DB) error {
		store, err := gormstore.New(db)
		if err != nil {
			return err
		}
		parts, err := store.Parts(run.Context(), path.Base(job))
		for _, part := range parts {
			n += part.Attempt - 1
		}
		return err
	})
	return n
}

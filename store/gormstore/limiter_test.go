package gormstore_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/store/gormstore"
)

func take(t *testing.T, store *gormstore.Store, key string, cost, burst time.Duration) time.Duration {
	t.Helper()
	wait, err := store.Take(t.Context(), key, cost, burst)
	require.NoError(t, err)
	return wait
}

func limitRows(t *testing.T, db *gorm.DB, where string) (n int) {
	t.Helper()
	require.NoError(t, db.Raw("SELECT count(*) FROM bulkexport_limits WHERE "+where).Row().Scan(&n))
	return n
}

// testTakeTogether is for connections whose isolation level has statements of autocommit
// fail where others wait.
func testTakeTogether(t *testing.T, open newDatabase) {
	t.Helper()
	const allowed, calls = 10, 40
	database := open(t)
	stores := []*gormstore.Store{openStore(t, openDB(t, database)), openStore(t, openDB(t, database))}
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			if take(t, stores[i%len(stores)], "a", time.Hour, allowed*time.Hour) == 0 {
				won.Add(1)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, allowed, won.Load())
}

// testLimitsKeepNoKeys looks for the key where somebody else may read it.
func testLimitsKeepNoKeys(t *testing.T, open newDatabase) {
	t.Helper()
	db := openDB(t, open(t))
	store := openStore(t, db)
	require.Zero(t, take(t, store, "client of somebody", time.Hour, time.Hour))
	var key string
	require.NoError(t, db.Raw("SELECT key FROM bulkexport_limits").Row().Scan(&key))
	require.Regexp(t, "^[0-9a-f]{64}$", key)
}

// testLimitsAreSwept begins with rows that owe nothing for long, more than are removed
// at once.
func testLimitsAreSwept(t *testing.T, open newDatabase) {
	t.Helper()
	db := openDB(t, open(t))
	openStore(t, db)
	require.NoError(t, db.Exec(`INSERT INTO bulkexport_limits WITH RECURSIVE n(i) AS
		(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) SELECT 'old ' || i, i FROM n`).Error)
	store := openStore(t, db)
	for calls, left := range []int{1500, 500, 0, 0} {
		require.Zero(t, take(t, store, "new", time.Hour, 10*time.Hour))
		require.Equal(t, left, limitRows(t, db, "key LIKE 'old %'"), "after %d calls", calls+1)
	}
	require.Equal(t, 1, limitRows(t, db, "true"), "what owes something stays")
	require.NotZero(t, take(t, store, "new", 7*time.Hour, 10*time.Hour))
}

// testClockWasAhead has a key owe something until next year, by a clock that was set
// back since.
func testClockWasAhead(t *testing.T, open newDatabase) {
	t.Helper()
	db := openDB(t, open(t))
	store := openStore(t, db)
	require.Zero(t, take(t, store, "a", time.Hour, time.Hour))
	year := (365 * 24 * time.Hour).Microseconds()
	require.NoError(t, db.Exec("UPDATE bulkexport_limits SET free_at = free_at + ?", year).Error)
	require.Equal(t, time.Millisecond, take(t, store, "a", time.Hour, time.Hour))
	require.Zero(t, take(t, store, "a", time.Hour, time.Hour))
	require.Greater(t, take(t, store, "a", time.Hour, time.Hour), time.Minute)
}

// testTakeConflicts has the database abort the first two.
func testTakeConflicts(t *testing.T, open newDatabase) {
	t.Helper()
	for code, want := range map[string]string{"40001": "", "40P01": "", "23514": "gormstore: take: "} {
		db := openDB(t, open(t))
		store := openStore(t, db)
		abortTwice(t, db, code, "BEFORE INSERT ON bulkexport_limits")
		_, err := store.Take(t.Context(), "a", time.Hour, time.Hour)
		if want == "" {
			require.NoError(t, err, code)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// TestTakeNeedsItsTable: a database that was not migrated is trouble, not a refusal.
func TestTakeNeedsItsTable(t *testing.T) {
	t.Parallel()
	db := openDB(t, sqliteFile(t, ""))
	store := openStore(t, db)
	require.NoError(t, db.Exec("DROP TABLE bulkexport_limits").Error)
	_, err := store.Take(t.Context(), "a", time.Hour, time.Hour)
	require.ErrorContains(t, err, "gormstore: take: ")
	require.NoError(t, store.Migrate(t.Context()))
	require.Zero(t, take(t, store, "a", time.Hour, time.Hour))
}

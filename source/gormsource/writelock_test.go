package gormsource_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
)

func writeLockTests() map[string]func(t *testing.T, f *sharedFile) {
	return map[string]func(t *testing.T, f *sharedFile){
		"waits for the writer":   testWaitsForWriter,
		"cancelled":              testWriterHangsAndCancelled,
		"reader in the way":      testReaderInTheWay,
		"settings are as before": testBusyTimeoutStays,
		"no file to write":       testReadOnlyFile,
	}
}

// TestSQLiteWriteLock has somebody else hold the lock for which both sources ask
// to tell the transactionTime.
func TestSQLiteWriteLock(t *testing.T) {
	t.Parallel()
	t.Run("writer hangs", func(t *testing.T) { t.Parallel(); testWriterHangs(t, newSharedFile(t, "WAL")) })
	for _, journal := range []string{"WAL", "DELETE"} {
		for name, run := range writeLockTests() {
			t.Run(journal+"/"+name, func(t *testing.T) {
				t.Parallel()
				run(t, newSharedFile(t, journal))
			})
		}
	}
}

// sharedFile is a database that two processes have opened.
type sharedFile struct {
	name  string
	db    *gorm.DB // the host's, as the sources use it
	pool  *sql.DB
	other *sql.Conn
	// clocks are both sources.
	clocks map[string]bulkexport.SourceClock
}

const longBusyTimeout = 60_000 // milliseconds

func newSharedFile(t *testing.T, journal string) *sharedFile {
	t.Helper()
	f := &sharedFile{name: "file:" + filepath.Join(t.TempDir(), "test.db")}
	settings := "?_synchronous=OFF&_journal_mode=" + journal
	f.db = open(t, sqlite.Open(f.name+settings+"&_busy_timeout=60000"))
	var err error
	f.pool, err = f.db.DB()
	require.NoError(t, err)
	f.pool.SetMaxOpenConns(1)
	f.clocks = map[string]bulkexport.SourceClock{
		"Tables": newTables(t, f.db, docs(t, f.db)), "Repository": newRepository(t, f.db),
	}
	// Its commits to a rollback journal wait for a source that looks for the lock.
	other, err := open(t, sqlite.Open(f.name+settings+"&_busy_timeout=20000")).DB()
	require.NoError(t, err)
	f.other, err = other.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.other.Close()) })
	return f
}

// as runs a statement of the other process.
func (f *sharedFile) as(t *testing.T, statement string) {
	t.Helper()
	_, err := f.other.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// waits returns when a source has taken its connection.
func (f *sharedFile) waits(over func() bool) {
	for f.pool.Stats().InUse == 0 && !over() {
		runtime.Gosched()
	}
}

func testWaitsForWriter(t *testing.T, f *sharedFile) {
	type result struct {
		at  time.Time
		err error
	}
	for name, clock := range f.clocks {
		f.as(t, "BEGIN IMMEDIATE")
		f.as(t, "DELETE FROM docs")
		told := make(chan result, 1)
		go func() {
			at, err := clock.TransactionTime(t.Context(), "")
			told <- result{at, err}
		}()
		f.waits(func() bool { return len(told) > 0 })
		stamp := time.Now().Truncate(time.Second) // what docs tells apart
		require.Empty(t, told, name)
		f.as(t, "COMMIT")
		r := <-told
		require.NoError(t, r.err, name)
		require.False(t, r.at.Before(stamp.Add(-time.Second)), name)
		f.as(t, "BEGIN IMMEDIATE")
		f.as(t, "ROLLBACK")
	}
}

func testWriterHangs(t *testing.T, f *sharedFile) {
	f.as(t, "BEGIN IMMEDIATE")
	_, err := f.clocks["Repository"].TransactionTime(t.Context(), "")
	require.ErrorContains(t, err, "database is locked")
	f.as(t, "COMMIT")
	f.requireFree(t)
}

// requireFree has neither side in the way of the other.
func (f *sharedFile) requireFree(t *testing.T) {
	t.Helper()
	f.as(t, "BEGIN IMMEDIATE")
	f.as(t, "DELETE FROM docs")
	f.as(t, "COMMIT")
	for name, clock := range f.clocks {
		_, err := clock.TransactionTime(t.Context(), "")
		require.NoError(t, err, name)
	}
	require.Zero(t, f.pool.Stats().InUse)
}

func testWriterHangsAndCancelled(t *testing.T, f *sharedFile) {
	f.as(t, "BEGIN EXCLUSIVE")
	for name, clock := range f.clocks {
		took := requireCancel(t, f.waits, func(ctx context.Context) error {
			_, err := clock.TransactionTime(ctx, "")
			return err
		})
		t.Logf("%s: returned %v after the context ended", name, took)
	}
	f.as(t, "COMMIT")
	f.requireFree(t)
}

// testReaderInTheWay has a reader, for whom a commit to a rollback journal waits.
func testReaderInTheWay(t *testing.T, f *sharedFile) {
	var journal string
	require.NoError(t, f.db.Raw("PRAGMA journal_mode").Row().Scan(&journal))
	f.as(t, "BEGIN")
	f.as(t, "SELECT count(*) FROM docs")
	_, err := f.clocks["Tables"].TransactionTime(t.Context(), "")
	require.NoError(t, err, "it writes nothing")
	told := func(ctx context.Context) error {
		_, err := f.clocks["Repository"].TransactionTime(ctx, "")
		return err
	}
	if journal == "wal" {
		require.NoError(t, told(t.Context()))
	} else {
		took := requireCancel(t, f.waits, told)
		t.Logf("returned %v after the context ended", took)
	}
	f.as(t, "COMMIT")
	f.requireFree(t)
}

func testBusyTimeoutStays(t *testing.T, f *sharedFile) {
	for name, clock := range f.clocks {
		_, err := clock.TransactionTime(t.Context(), "")
		require.NoError(t, err, name)
		var timeout int
		require.NoError(t, f.db.Raw("PRAGMA busy_timeout").Row().Scan(&timeout))
		require.Equal(t, longBusyTimeout, timeout, name)
	}
}

// testReadOnlyFile has a host that may only read the file.
func testReadOnlyFile(t *testing.T, f *sharedFile) {
	db := open(t, sqlite.Open(f.name+"?mode=ro"))
	source := newTables(t, db, docsTable())
	_, err := source.TransactionTime(t.Context(), "")
	require.NoError(t, err)
}

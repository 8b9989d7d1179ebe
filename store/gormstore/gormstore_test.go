package gormstore_test

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/store/gormstore"
	"github.com/bulkexport/bulkexport/store/storetest"
)

// newDatabase makes an empty database. What it returns can be opened by several
// handles, which share it as processes would.
type newDatabase func(t *testing.T) gorm.Dialector

// TestSQLite runs the suite for the ways in which hosts open their files.
func TestSQLite(t *testing.T) {
	t.Parallel()
	for name, parameters := range map[string]string{
		"wal":                       "_journal_mode=WAL",
		"wal, immediate":            "_journal_mode=WAL&_txlock=immediate",
		"rollback journal, no wait": "_journal_mode=DELETE&_busy_timeout=0&_sync=OFF",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, harness(sqliteFiles(parameters)))
		})
	}
	testBoth(t, sqliteFiles("_journal_mode=WAL"))
}

func TestSQLiteInMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(t *testing.T) bulkexport.JobStore {
			t.Helper()
			db := openDB(t, sqlite.Open(":memory:"))
			pool, err := db.DB()
			require.NoError(t, err)
			pool.SetMaxOpenConns(1)
			return openStore(t, db)
		},
		Skip: map[storetest.Category]string{
			storetest.Cancellation: "a cancelled call may cost the connection, and with it this kind of database",
		},
	})
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	schemas := postgresSchemas(t, pgtest.DSN(t))
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		storetest.Run(t, harness(schemas))
	})
	for level, parameters := range map[string]string{
		"repeatable read": "&default_transaction_isolation=repeatable%20read",
		"serializable":    "&default_transaction_isolation=serializable",
	} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			open := func(t *testing.T) gorm.Dialector {
				t.Helper()
				return postgres.Open(schemas(t).(*postgres.Dialector).DSN + parameters)
			}
			testCountTogether(t, open)
			testTakeTogether(t, open)
		})
	}
	t.Run("conflicts are tried again", func(t *testing.T) {
		t.Parallel()
		testConflicts(t, schemas)
	})
	t.Run("conflicts of takes are tried again", func(t *testing.T) {
		t.Parallel()
		testTakeConflicts(t, schemas)
	})
	t.Run("parts do not wait", func(t *testing.T) {
		t.Parallel()
		testPartsDoNotWait(t, schemas)
	})
	t.Run("clock", func(t *testing.T) {
		t.Parallel()
		testClock(t, schemas)
	})
	testBoth(t, schemas)
}

// testBoth runs what is expected of either database beyond the suite.
func testBoth(t *testing.T, open newDatabase) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, newDatabase){
		"migrate at once":             testMigrateAtOnce,
		"migrate earlier tables":      testMigrateEarlierTables,
		"reads do not wait":           testReadsDoNotWait,
		"a refusal is not a conflict": testRefusalIsNotAConflict,
		"limits keep no keys":         testLimitsKeepNoKeys,
		"limits are swept":            testLimitsAreSwept,
		"a clock was ahead":           testClockWasAhead,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// harness opens each store with a connection pool of its own.
func harness(open newDatabase) storetest.Harness {
	var databases sync.Map
	return storetest.Harness{
		Open: func(t *testing.T) bulkexport.JobStore {
			t.Helper()
			database := open(t)
			store := openStore(t, openDB(t, database))
			databases.Store(store, database)
			return store
		},
		Reopen: func(t *testing.T, opened bulkexport.JobStore) bulkexport.JobStore {
			t.Helper()
			database, _ := databases.Load(opened)
			return openStore(t, openDB(t, database.(gorm.Dialector)))
		},
	}
}

func sqliteFiles(parameters string) newDatabase {
	return func(t *testing.T) gorm.Dialector {
		t.Helper()
		return sqliteFile(t, parameters)
	}
}

func sqliteFile(tb testing.TB, parameters string) gorm.Dialector {
	tb.Helper()
	return sqlite.Open(fmt.Sprintf("file:%s?%s", filepath.Join(tb.TempDir(), "export.db"), parameters))
}

// postgresSchemas makes schemas of one database: they are as empty as new
// databases, and made much faster.
func postgresSchemas(t *testing.T, dsn string) newDatabase {
	t.Helper()
	server := openDB(t, postgres.Open(dsn))
	return func(t *testing.T) gorm.Dialector {
		t.Helper()
		schema := "s" + strings.ToLower(rand.Text())
		require.NoError(t, server.Exec("CREATE SCHEMA "+schema).Error)
		return postgres.Open(dsn + "&search_path=" + schema)
	}
}

func openDB(tb testing.TB, database gorm.Dialector) *gorm.DB {
	tb.Helper()
	db, err := gorm.Open(database, &gorm.Config{Logger: logger.Discard})
	require.NoError(tb, err)
	pool, err := db.DB()
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = pool.Close() })
	return db
}

func openStore(tb testing.TB, db *gorm.DB) *gormstore.Store {
	tb.Helper()
	store, err := gormstore.New(db)
	require.NoError(tb, err)
	require.NoError(tb, store.Migrate(tb.Context()))
	return store
}

// running stores a job with parts to work on.
func running(tb testing.TB, store *gormstore.Store, parts int) (id string) {
	tb.Helper()
	id = strings.Repeat("a", 26)
	require.NoError(tb, store.CreateJob(tb.Context(), bulkexport.Job{ID: id, State: bulkexport.JobRunning}))
	plan := make([]bulkexport.Part, parts)
	for i := range plan {
		plan[i].Index = i
	}
	require.NoError(tb, store.SetParts(tb.Context(), id, plan))
	return id
}

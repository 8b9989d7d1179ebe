package gormstore_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// foreign is a database of a kind that the store does not know.
type foreign struct{ gorm.Dialector }

func (foreign) Name() string { return "mysql" }

func TestNewRefusesOtherDatabases(t *testing.T) {
	t.Parallel()
	_, err := gormstore.New(openDB(t, foreign{sqlite.Open(":memory:")}))
	require.ErrorContains(t, err, `gormstore: new: dialect "mysql" is not supported`)
	require.ErrorContains(t, err, "sqlite")
	require.ErrorContains(t, err, "postgres")
}

func TestNewNeedsAnOpenDatabase(t *testing.T) {
	t.Parallel()
	for _, db := range []*gorm.DB{nil, {}, {Config: &gorm.Config{}}} {
		_, err := gormstore.New(db)
		require.ErrorContains(t, err, "gormstore: new: ")
	}
}

// testMigrateAtOnce starts several processes on an empty database.
func testMigrateAtOnce(t *testing.T, open newDatabase) {
	t.Helper()
	database := open(t)
	errs := make([]error, 6)
	var all sync.WaitGroup
	for i := range errs {
		store, err := gormstore.New(openDB(t, database))
		require.NoError(t, err)
		all.Go(func() { errs[i] = store.Migrate(t.Context()) })
	}
	all.Wait()
	require.NoError(t, errors.Join(errs...))
}

func TestMigrateKeepsJobs(t *testing.T) {
	t.Parallel()
	db := openDB(t, sqliteFile(t, ""))
	require.NoError(t, openStore(t, db).CreateJob(t.Context(), bulkexport.Job{ID: "a"}))
	_, err := openStore(t, db).Job(t.Context(), "a")
	require.NoError(t, err)
}

// testMigrateEarlierTables begins with the tables that had no revisions.
func testMigrateEarlierTables(t *testing.T, open newDatabase) {
	t.Helper()
	db := openDB(t, open(t))
	for _, statement := range []string{
		"CREATE TABLE bulkexport_jobs (id text NOT NULL PRIMARY KEY, tenant text NOT NULL, state text NOT NULL, " +
			"expires_at bigint, doc text NOT NULL)",
		"CREATE TABLE bulkexport_parts (job_id text NOT NULL, idx bigint NOT NULL, doc text NOT NULL, " +
			"PRIMARY KEY (job_id, idx))",
		`INSERT INTO bulkexport_jobs VALUES ('a', '', 'running', NULL, '{"id":"a"}')`,
		`INSERT INTO bulkexport_parts VALUES ('a', 0, '{"index":0}')`,
	} {
		require.NoError(t, db.Exec(statement).Error)
	}
	store := openStore(t, db)
	before, err := store.Revision(t.Context(), "a")
	require.NoError(t, err)
	_, err = store.UpdatePart(t.Context(), "a", 0, func(bulkexport.Job, *bulkexport.Part) error { return nil })
	require.NoError(t, err)
	after, err := store.Revision(t.Context(), "a")
	require.NoError(t, err)
	require.Greater(t, after, before)
}

package conformance_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

func diskChecks() []check {
	return []check{{
		title: "the whole flow works on SQLite and files",
		ids:   ids("K-05", "K-10", "S-14", "M-15", "F-01", "D-07"), run: checkDisk,
	}}
}

func openSQLite(t *testing.T) *gorm.DB {
	t.Helper()
	dsn := "file:" + filepath.Join(t.TempDir(), "db") + "?_journal_mode=WAL&_busy_timeout=10000&_txlock=immediate"
	db, err := gorm.Open(sqlite.Open(dsn), &gorm.Config{Logger: logger.Discard})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return db
}

func checkDisk(t *testing.T) {
	db := openSQLite(t)
	source, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	require.NoError(t, err)
	require.NoError(t, source.Migrate(t.Context()))
	store, err := gormstore.New(db)
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	sink, err := filesink.New(t.TempDir())
	require.NoError(t, err)
	for _, resource := range ward() {
		_, err := source.Put(t.Context(), "", resourceOf(resource))
		require.NoError(t, err)
	}
	k := start(t, setup{core: bulkexport.Config{Source: source, Store: store, Sink: sink, MaxFileResources: 2}})
	e := k.export("/$export", "Accept-Encoding: identity")
	require.Equal(t, everything(), e.names())
	require.Equal(t, ofPatients(), k.export("/Patient/$export").names())
	require.Equal(t, only(everything(), "Observation"), k.export("/$export?_type=Observation").names())

	_, err = source.Put(t.Context(), "", resourceOf(`Patient/new "active":true`))
	require.NoError(t, err)
	require.Equal(t, []string{"Patient/new"}, k.export("/$export?_since="+stamp(e.TransactionTime)).names())
	k.send("DELETE", e.job, "")
	k.fails(k.get(e.job), 404)
}

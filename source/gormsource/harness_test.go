package gormsource_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// database makes handles on an empty database that lasts as long as t.
type database func(t testing.TB) *gorm.DB

func openSQLite(t testing.TB) *gorm.DB {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	return open(t, sqlite.Open("file:"+file+"?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=20000"))
}

// openPostgres gives each test a schema of its own in one database.
func openPostgres(dsn string) database {
	return func(t testing.TB) *gorm.DB {
		t.Helper()
		schema := "s" + strings.ToLower(rand.Text())
		db := open(t, postgres.Open(withSetting(t, dsn, "search_path", schema)))
		require.NoError(t, db.Exec("CREATE SCHEMA "+schema).Error)
		return db
	}
}

func withSetting(t testing.TB, dsn, name, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	settings := u.Query()
	settings.Set(name, value)
	u.RawQuery = settings.Encode()
	return u.String()
}

func open(t testing.TB, dialector gorm.Dialector) *gorm.DB {
	t.Helper()
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxIdleConns(8)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return db
}

func newRepository(t testing.TB, db *gorm.DB) *gormsource.Repository {
	t.Helper()
	repo, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	require.NoError(t, err)
	require.NoError(t, repo.Migrate(context.WithoutCancel(t.Context())))
	return repo
}

func query(resourceType string) bulkexport.Query {
	return bulkexport.Query{Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: resourceType}
}

// read returns the JSON of all resources that a query selects.
func read(t testing.TB, source bulkexport.ResourceSource, q bulkexport.Query) []string {
	t.Helper()
	found := []string{}
	for r, err := range source.Resources(t.Context(), q) {
		require.NoError(t, err)
		found = append(found, string(r.JSON))
	}
	return found
}

package gormsource_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
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
	return open(t, sqlite.Open(sqliteDSN(t)))
}

// openSQLiteByDriver has rows read by way of database/sql.
func openSQLiteByDriver(t testing.TB) *gorm.DB {
	t.Helper()
	return open(t, sqlite.New(sqlite.Config{Conn: byDriver(t, sqliteDSN(t))}))
}

func sqliteDSN(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	return "file:" + file + "?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=20000"
}

// byDriver makes a pool of connections like those of a tracing driver: not the
// SQLite driver's own.
func byDriver(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	own, err := sql.Open("sqlite3", dsn)
	require.NoError(t, err)
	defer func() { require.NoError(t, own.Close()) }()
	return sql.OpenDB(sqliteConnector{own.Driver(), dsn})
}

type sqliteConnector struct {
	driver driver.Driver
	dsn    string
}

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	inner, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return wrappedSQLite{inner.(sqliteConn)}, nil
}

func (c sqliteConnector) Driver() driver.Driver { return c.driver }

type wrappedSQLite struct{ sqliteConn }

// sqliteConn is what the SQLite driver's connections can.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
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

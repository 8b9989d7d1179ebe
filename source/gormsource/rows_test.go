package gormsource_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

// testPostgresColumns reads each type of column over each kind of connection
// that a host may have.
func testPostgresColumns(t *testing.T, dsn string) {
	setup := open(t, postgres.Open(dsn))
	const body = `{"resourceType":"Patient","id":"1","x":"é\\ \"😀","y":1.50}`
	for _, column := range []string{"TEXT", "VARCHAR", "BYTEA", "JSON", "JSONB"} {
		create(t, setup, "CREATE TABLE b_"+column+" (k UUID PRIMARY KEY, changed TIMESTAMP NOT NULL, body "+column+")")
		value := "?::text::" + column
		if column == "BYTEA" {
			value = "convert_to(?, 'UTF8')"
		}
		require.NoError(t, setup.Exec("INSERT INTO b_"+column+" SELECT md5(n::text)::uuid, now(), "+value+
			" FROM generate_series(1, 1200) n", body).Error)
	}
	const mode = "default_query_exec_mode"
	for name, dialector := range map[string]gorm.Dialector{
		"pgx":                 postgres.Open(dsn),
		"simple protocol":     postgres.New(postgres.Config{DSN: dsn, PreferSimpleProtocol: true}),
		"exec":                postgres.Open(withSetting(t, dsn, mode, "exec")),
		"cache describe":      postgres.Open(withSetting(t, dsn, mode, "cache_describe")),
		"a driver around pgx": postgres.New(postgres.Config{Conn: wrappedPool(t, dsn)}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, dialector)
			for _, column := range []string{"text", "varchar", "bytea", "json", "jsonb"} {
				source := newTables(t, db, gormsource.Table{
					Name: "b_" + column, Type: "Patient", KeyColumn: "k", BodyColumn: "body", LastUpdatedColumn: "changed",
				})
				bodies := read(t, source, query("Patient"))
				require.Len(t, bodies, 1200, column)
				for _, found := range bodies {
					if column == "jsonb" {
						require.JSONEq(t, body, found)
						require.Contains(t, found, "1.50")
					} else {
						require.Equal(t, body, found, column)
					}
				}
				requireCuts(t, source)
			}
		})
	}
}

// requireCuts splits what has keys that are neither text nor a number.
func requireCuts(t *testing.T, source *gormsource.Tables) {
	t.Helper()
	q := query("Patient")
	cuts, err := source.Split(t.Context(), q, 400)
	require.NoError(t, err)
	require.Len(t, cuts, 2)
	for _, cut := range append(cuts, nil) {
		q.UpTo = cut
		require.Len(t, read(t, source, q), 400)
		q.After = cut
	}
}

// wrappedPool has connections like those of a tracing driver: not pgx's own.
func wrappedPool(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	return sql.OpenDB(connector{dsn})
}

type connector struct{ dsn string }

type conn struct{ driver.Conn }

func (c connector) Connect(context.Context) (driver.Conn, error) {
	inner, err := stdlib.GetDefaultDriver().Open(c.dsn)
	return conn{inner}, err
}

func (c connector) Driver() driver.Driver { return stdlib.GetDefaultDriver() }

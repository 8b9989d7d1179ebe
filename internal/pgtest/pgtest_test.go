package pgtest_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/pgtest"
)

func TestDatabasesAreEmptyAndApart(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	for range 2 {
		conn := connect(t, cluster.DSN(t))
		var tables int
		row := conn.QueryRow(t.Context(), "select count(*) from pg_tables where schemaname = 'public'")
		require.NoError(t, row.Scan(&tables))
		require.Zero(t, tables)
		_, err := conn.Exec(t.Context(), "create table seen (id int)")
		require.NoError(t, err)
	}
}

func TestDatabaseIsDropped(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	var dsn string
	t.Run("create", func(t *testing.T) {
		dsn = cluster.DSN(t)
		connect(t, dsn)
	})
	_, err := pgx.Connect(t.Context(), dsn)
	require.ErrorContains(t, err, "3D000") // invalid_catalog_name
}

func TestServerIsStopped(t *testing.T) {
	t.Setenv("BULKEXPORT_TEST_POSTGRES", "")
	var dsn string
	t.Run("start", func(t *testing.T) {
		dsn = pgtest.DSN(t)
		connect(t, dsn)
	})
	if dsn == "" {
		t.Skip("no server was started")
	}
	_, err := pgx.Connect(t.Context(), dsn)
	require.ErrorContains(t, err, "connection refused")
}

func TestOutageKeepsTheData(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	dsn := cluster.DSN(t)
	conn := connect(t, dsn)
	_, err := conn.Exec(t.Context(), "create table kept as select 7 as n")
	require.NoError(t, err)

	end := cluster.Outage(t)
	_, err = conn.Exec(t.Context(), "select 1")
	require.Error(t, err, "clients are cut off")
	_, err = pgx.Connect(t.Context(), dsn)
	require.ErrorContains(t, err, "connection refused")
	end()
	var n int
	require.NoError(t, connect(t, dsn).QueryRow(t.Context(), "select n from kept").Scan(&n))
	require.Equal(t, 7, n)
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

//go:build cgo && linux && !bulkexport_nocgo

package sqliterows_test

import (
	"context"
	"database/sql"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "gorm.io/driver/sqlite" // registers the driver

	"github.com/bulkexport/bulkexport/source/gormsource/internal/sqliterows"
)

// TestProgramWithoutSQLite links and runs a program that has no library.
func TestProgramWithoutSQLite(t *testing.T) {
	t.Parallel()
	for _, tags := range []string{"", "bulkexport_nocgo"} {
		out, err := exec.CommandContext(t.Context(), "go", "run", "-tags", tags, "./testdata/nodriver").CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Equal(t, `"" false `+sqliterows.ErrUnsupported.Error(), string(out))
	}
}

func newPool(t *testing.T) *sql.DB {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.db")
	pool, err := sql.Open("sqlite3", "file:"+file+"?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=1234")
	require.NoError(t, err)
	pool.SetMaxOpenConns(1)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return pool
}

// on calls fn with a connection of the pool.
func on(t *testing.T, pool *sql.DB, fn func(driverConn any, conn sqliterows.Conn)) {
	t.Helper()
	held, err := pool.Conn(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, held.Close()) }()
	require.NoError(t, held.Raw(func(driverConn any) error {
		conn, ok := sqliterows.Of(driverConn)
		require.True(t, ok)
		fn(driverConn, conn)
		return nil
	}))
}

func TestSourceID(t *testing.T) {
	t.Parallel()
	var id string
	require.NoError(t, newPool(t).QueryRowContext(t.Context(), "SELECT sqlite_source_id()").Scan(&id))
	require.Equal(t, id, sqliterows.SourceID())
}

func TestOf(t *testing.T) {
	t.Parallel()
	type SQLiteConn struct{ db *int }
	for _, other := range []any{nil, 1, new(int), &SQLiteConn{new(int)}, (*SQLiteConn)(nil), SQLiteConn{}} {
		_, ok := sqliterows.Of(other)
		require.False(t, ok, "%T", other)
	}
}

// rows is what a batch has.
func rows(b *sqliterows.Batch) [][2]string {
	var found [][2]string
	rest := string(b.Bytes)
	for _, row := range b.Rows {
		end := row.First + row.Second
		found = append(found, [2]string{rest[:row.First], rest[row.First:end]})
		rest = rest[end:]
	}
	return found
}

// byDriver reads the same by way of database/sql.
func byDriver(t *testing.T, pool *sql.DB, query string, args ...any) [][2]string {
	t.Helper()
	result, err := pool.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, result.Close()) }()
	var found [][2]string
	for result.Next() {
		var first, second sql.RawBytes
		require.NoError(t, result.Scan(&first, &second))
		found = append(found, [2]string{string(first), string(second)})
	}
	require.NoError(t, result.Err())
	return found
}

type named string

// TestArguments binds what the driver knows, which is to make the same of it.
func TestArguments(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	number := 7
	for _, arg := range []any{
		nil, 0, -1, int64(math.MaxInt64), int64(math.MinInt64), uint8(200), true, false, 1e100, float32(0.5),
		"", "é\x00x", "\xff", named("n"), []byte(nil), []byte{}, []byte{0, 1, 255}, strings.Repeat("x", 100_000),
		&number, (*int)(nil), sql.NullString{}, sql.NullInt64{Int64: 5, Valid: true},
		time.Date(2024, 5, 6, 7, 8, 9, 123456789, time.FixedZone("", -90*60)), time.Time{},
	} {
		// CAST, since a number that is not whole is left to the driver.
		const query = "SELECT typeof(?1), CAST(?1 AS BLOB) UNION ALL SELECT quote(?1), length(?1) ;\n"
		want := byDriver(t, pool, query, arg)
		on(t, pool, func(_ any, conn sqliterows.Conn) {
			var b sqliterows.Batch
			all, err := conn.Read(t.Context(), query, []any{arg}, 10, &b)
			require.NoError(t, err, "%T", arg)
			require.True(t, all)
			require.Equal(t, want, rows(&b), "%T", arg)
		})
	}
}

func create(t *testing.T, pool *sql.DB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		_, err := pool.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

// TestForTheDriver has what is refused, after which the connection is as it was.
func TestForTheDriver(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	create(t, pool, "CREATE TABLE t (k INTEGER PRIMARY KEY, d DATETIME, b boolean, r REAL, o)",
		"INSERT INTO t VALUES (1, '2024-05-06', 1, 0.5, 1.5)")
	for name, c := range map[string]struct {
		query string
		args  []any
	}{
		"nothing":            {query: ""},
		"blank":              {query: "  "},
		"not SQL":            {query: "SELECT 1, "},
		"unknown table":      {query: "SELECT 1, x FROM nowhere"},
		"unknown function":   {query: "SELECT 1, nothing_like_it(2)"},
		"one column":         {query: "SELECT 1"},
		"three columns":      {query: "SELECT 1, 2, 3"},
		"two statements":     {query: "SELECT 1, 2; SELECT 3, 4"},
		"writes":             {query: "DELETE FROM t RETURNING k, o"},
		"times":              {query: "SELECT k, d FROM t"},
		"booleans":           {query: "SELECT b, k FROM t"},
		"real number":        {query: "SELECT k, r FROM t"},
		"real in any":        {query: "SELECT 1, 'x' UNION ALL SELECT k, o FROM t"},
		"fails on the way":   {query: "SELECT 1, 'x' UNION ALL SELECT 2, json_extract('{', '$')"},
		"argument missing":   {query: "SELECT 1, ?"},
		"one too many":       {query: "SELECT 1, ?", args: []any{1, 2}},
		"named argument":     {query: "SELECT 1, :a", args: []any{sql.Named("a", 1)}},
		"unknown argument":   {query: "SELECT 1, ?", args: []any{struct{}{}}},
		"of a large integer": {query: "SELECT 1, ?", args: []any{uint64(math.MaxUint64)}},
	} {
		on(t, pool, func(_ any, conn sqliterows.Conn) {
			_, err := conn.Read(t.Context(), c.query, c.args, 10, new(sqliterows.Batch))
			require.ErrorIs(t, err, sqliterows.ErrUnsupported, name)
		})
	}
	require.Equal(t, [][2]string{{"1", "1234"}}, byDriver(t, pool, "SELECT count(*), timeout FROM t, pragma_busy_timeout"))
}

// TestLocked does not wait, for as long as the host would have it.
func TestLocked(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	create(t, pool, "CREATE TABLE t (k, v)", "PRAGMA journal_mode = DELETE", "PRAGMA busy_timeout = 3600000")
	var file string
	require.NoError(t, pool.QueryRowContext(t.Context(), "SELECT file FROM pragma_database_list").Scan(&file))
	other, err := sql.Open("sqlite3", file)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, other.Close()) })
	other.SetMaxOpenConns(1)
	create(t, other, "BEGIN EXCLUSIVE")
	read := func() (err error) {
		on(t, pool, func(_ any, conn sqliterows.Conn) {
			_, err = conn.Read(t.Context(), "SELECT k, v FROM t", nil, 10, new(sqliterows.Batch))
		})
		return err
	}
	require.ErrorIs(t, read(), sqliterows.ErrUnsupported)
	create(t, other, "COMMIT")
	require.NoError(t, read())
}

// TestBounds reads numbers and bodies of a size, a batch at a time.
func TestBounds(t *testing.T) {
	t.Parallel()
	const query = `WITH RECURSIVE n (k) AS (SELECT ?1 + 1 UNION ALL SELECT k + 1 FROM n LIMIT 3000 - ?1)
		SELECT k, zeroblob(?2) FROM n WHERE k <= 3000`
	pool := newPool(t)
	for size, most := range map[int]int{0: 1000, 10: 1000, 1500: 697, 1<<20 - 8: 1, 1 << 20: 1, 3 << 20: 1} {
		var b sqliterows.Batch
		read, largest := 0, 0
		for all := false; !all && read < 2000; {
			on(t, pool, func(_ any, conn sqliterows.Conn) {
				var err error
				all, err = conn.Read(t.Context(), query, []any{read, size}, 1000, &b)
				require.NoError(t, err)
			})
			for i, row := range rows(&b) {
				require.Equal(t, strconv.Itoa(read+1+i), row[0])
				require.Len(t, row[1], size)
			}
			require.NotEmpty(t, b.Rows)
			read += len(b.Rows)
			largest = max(largest, len(b.Rows))
			if size > 1<<19 && read == 5 {
				break
			}
		}
		require.LessOrEqual(t, largest, most, size)
		require.GreaterOrEqual(t, largest, most*9/10, size)
	}
}

// TestNothingIsLeftOpen stops in the middle: others can write, and the log can be
// written back.
func TestNothingIsLeftOpen(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	pool.SetMaxOpenConns(2)
	create(t, pool, "CREATE TABLE t (k, v)", "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)")
	on(t, pool, func(_ any, conn sqliterows.Conn) {
		var b sqliterows.Batch
		all, err := conn.Read(t.Context(), "SELECT k, v FROM t", nil, 2, &b)
		require.NoError(t, err)
		require.False(t, all)
		require.Equal(t, [][2]string{{"1", "1"}, {"2", "2"}}, rows(&b))
		create(t, pool, "DELETE FROM t")
		var busy, log, done int
		require.NoError(t, pool.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done))
		require.Zero(t, busy)
	})
}

// TestHostFunctions are there, since the connection is the host's.
func TestHostFunctions(t *testing.T) {
	t.Parallel()
	on(t, newPool(t), func(driverConn any, conn sqliterows.Conn) {
		register(t, driverConn, "shout", func(s string) string { return s + "!" })
		register(t, driverConn, "lower", strings.ToUpper)
		var b sqliterows.Batch
		_, err := conn.Read(t.Context(), "SELECT shout('a'), lower('b')", nil, 10, &b)
		require.NoError(t, err)
		require.Equal(t, [][2]string{{"a!", "B"}}, rows(&b))
	})
}

func register(t *testing.T, driverConn any, name string, fn any) {
	t.Helper()
	registrar, ok := driverConn.(interface {
		RegisterFunc(name string, fn any, pure bool) error
	})
	require.True(t, ok)
	require.NoError(t, registrar.RegisterFunc(name, fn, true))
}

// TestCancelled has a statement that never ends cancel the context itself, so that
// it surely runs, and then one for which it has ended before.
func TestCancelled(t *testing.T) {
	t.Parallel()
	const endless = `WITH RECURSIVE n (k) AS (SELECT started() UNION ALL SELECT k + 1 FROM n)
		SELECT k, k FROM n WHERE k < 0`
	on(t, newPool(t), func(driverConn any, conn sqliterows.Conn) {
		ctx, cancel := context.WithCancel(t.Context())
		register(t, driverConn, "started", func() int { cancel(); return 1 })
		for range 2 {
			_, err := conn.Read(ctx, endless, nil, 10, new(sqliterows.Batch))
			require.ErrorIs(t, err, context.Canceled)
		}
		var b sqliterows.Batch
		_, err := conn.Read(t.Context(), "SELECT 1, 2", nil, 10, &b)
		require.NoError(t, err)
		require.Equal(t, [][2]string{{"1", "2"}}, rows(&b))
	})
}

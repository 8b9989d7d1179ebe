package gormsource_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// TestSQLiteRowsAreTheSame reads random tables with and without the driver in
// between. Keys, bodies and errors are to be the same, whatever a column holds:
// SQLite keeps any value in any.
func TestSQLiteRowsAreTheSame(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"UTF-8", "UTF-16le"} {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			dsn := "file:" + filepath.Join(t.TempDir(), "test.db") + "?_synchronous=OFF"
			direct := open(t, sqlite.Open(dsn))
			require.NoError(t, direct.Exec("PRAGMA encoding = '"+encoding+"'").Error)
			create(t, direct, "PRAGMA journal_mode = WAL")
			byDriver := open(t, sqlite.New(sqlite.Config{Conn: byDriver(t, dsn)}))
			rapid.Check(t, func(rt *rapid.T) { compareRows(t, rt, direct, byDriver) })
		})
	}
}

func compareRows(t *testing.T, rt *rapid.T, direct, byDriver *gorm.DB) {
	keys := rapid.SampledFrom([]string{"INTEGER", "INTEGER PRIMARY KEY", "BIGINT", "TEXT", "VARCHAR(9)"}).Draw(rt, "keys")
	bodies := rapid.SampledFrom([]string{
		"TEXT", "BLOB", "", "JSON", "INTEGER", "REAL", "NUMERIC", "BOOLEAN", "DATETIME", "date", "Timestamp",
	}).Draw(rt, "body")
	require.NoError(t, direct.Exec("DROP TABLE IF EXISTS t").Error)
	create(t, direct, "CREATE TABLE t (k "+keys+", changed INTEGER, body "+bodies+")")
	ordinary := rapid.OneOf(
		rapid.StringN(0, 50, -1).AsAny(),
		rapid.SliceOfN(rapid.Byte(), 0, 50).AsAny(),
		rapid.Map(rapid.IntRange(0, 70_000), func(n int) any { return `{"x":"` + strings.Repeat("é", n) + `"}` }),
	)
	value := ordinary
	if rapid.Bool().Draw(rt, "odd") {
		value = rapid.OneOf(ordinary,
			rapid.Int64().AsAny(), rapid.Float64().AsAny(), rapid.Bool().AsAny(),
			rapid.SampledFrom([]any{
				nil, "", []byte{}, "\xff", "a\x00b", math.MaxInt64, math.MinInt64, math.Inf(1), "2024-05-06T07:08:09Z",
			}),
			rapid.Map(rapid.IntRange(1<<20-9, 2<<20), func(n int) any { return strings.Repeat("x", n) }),
		)
	}
	stored := rapid.SliceOfN(value, 0, 150).Draw(rt, "bodies")
	require.NoError(t, direct.Transaction(func(tx *gorm.DB) error {
		for i, body := range stored {
			require.NoError(t, tx.Exec("INSERT INTO t VALUES (?, 1, ?)", 1000+7*i, body).Error)
		}
		return nil
	}))
	config := gormsource.Table{
		Name: "t", Type: "Patient", KeyColumn: "k", BodyColumn: "body", LastUpdatedColumn: "changed", LastUpdatedUnit: 1e9,
	}
	want, got := rowsOf(t, newTables(t, byDriver, config)), rowsOf(t, newTables(t, direct, config))
	require.Len(t, want, len(stored))
	require.Equal(t, want, got)
}

// rowsOf returns all that a stream yields. What can be read is never missing.
func rowsOf(t *testing.T, source bulkexport.ResourceSource) []string {
	t.Helper()
	var rows []string
	for r, err := range source.Resources(t.Context(), query("Patient")) {
		rows = append(rows, fmt.Sprintf("%s %s %v", r.Key, r.JSON, err))
	}
	return rows
}

package database_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/database"
)

func TestSQLiteFileIsWhereItWasAskedFor(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "50% of what? #1 & more.db")
	db, err := database.OpenSQLite(file)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	require.FileExists(t, file)

	// Both pools are connections to the same database, in WAL mode.
	require.NoError(t, db.Jobs.Exec("CREATE TABLE seen (n INTEGER)").Error)
	require.NoError(t, db.Resources.Exec("INSERT INTO seen VALUES (1)").Error)
	var mode string
	require.NoError(t, db.Resources.Raw("PRAGMA journal_mode").Scan(&mode).Error)
	require.Equal(t, "wal", mode)
}

func TestDatabaseThatCannotBeOpenedIsAnError(t *testing.T) {
	t.Parallel()
	_, err := database.OpenSQLite(filepath.Join(t.TempDir(), "absent", "a.db"))
	require.ErrorContains(t, err, "open database")
	_, err = database.OpenPostgres("postgres://127.0.0.1:1/none")
	require.ErrorContains(t, err, "open database")
}

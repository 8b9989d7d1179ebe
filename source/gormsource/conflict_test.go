package gormsource_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

// testPostgresDeadlock has somebody lock two resources in the other order than
// a load does. PostgreSQL ends the one that has waited for a second, the load.
func testPostgresDeadlock(t *testing.T, dsn string) {
	db := openPostgres(dsn)(t)
	repo := newRepository(t, db)
	ndjson := `{"resourceType":"Patient","id":"a"}` + "\n" + `{"resourceType":"Patient","id":"b"}`
	load := func() error {
		_, err := repo.Load(t.Context(), "", strings.NewReader(ndjson), gormsource.LoadOptions{})
		return err
	}
	require.NoError(t, load())

	const lock = "SELECT id FROM bulkexport_resources WHERE id = ? FOR UPDATE"
	other := db.Begin()
	require.NoError(t, other.Exec(lock, "b").Error)
	loaded := make(chan error, 1)
	go func() { loaded <- load() }()
	for waiting := false; !waiting; {
		row := db.Raw("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").Row()
		require.NoError(t, row.Scan(&waiting))
	}
	_ = other.Exec(lock, "a").Error // on a slow machine this one is ended
	require.NoError(t, other.Rollback().Error)
	require.NoError(t, <-loaded)
	require.Len(t, read(t, repo, query("Patient")), 2)
}

package gormsource_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// wholeTables has types read in one part each.
type wholeTables struct {
	bulkexport.ResourceSource
	bulkexport.SourceClock
}

// testPostgresLostConnection has the server end all connections of the source while it
// reads.
func testPostgresLostConnection(t *testing.T, dsn string) {
	admin := open(t, postgres.Open(dsn))
	table := gatedDocs(t, admin)
	source := newTables(t, open(t, postgres.Open(withSetting(t, dsn, "application_name", "source"))), table)
	requireInterrupted(t, source, admin, func() {
		const terminate = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE application_name = 'source' AND datname = current_database()`
		var lost int
		require.NoError(t, admin.Raw(terminate).Row().Scan(&lost))
		require.NotZero(t, lost)
	})
}

const gatedRows = 300

// gatedDocs makes a table whose reader has to pass a lock in the middle.
func gatedDocs(t *testing.T, db *gorm.DB) gormsource.Table {
	t.Helper()
	table := docs(t, db)
	for n := range gatedRows {
		addDoc(t, db, n, "Patient", fmt.Sprintf(`{"resourceType":"Patient","id":"%d"}`, n))
	}
	create(t, db, fmt.Sprintf(`CREATE FUNCTION gate(n bigint, body text) RETURNS text LANGUAGE plpgsql STABLE AS '
		BEGIN IF n = %d THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN body; END'`, gatedRows/2),
		"CREATE VIEW gated AS SELECT n, kind, changed, gate(n, body) AS body FROM docs")
	table.Name = "gated"
	return table
}

// requireInterrupted exports gatedDocs and has something happen on the server that is
// read from while the source waits at the lock, in the middle of its second batch. It
// returns the error of the attempt that met it, after the next one has done the rest.
func requireInterrupted(t *testing.T, source *gormsource.Tables, server *gorm.DB, interrupt func()) error {
	t.Helper()
	f := &follower{t: t, ended: make(chan bulkexport.Job, 10)}
	attempts := make(chan bulkexport.PartAttempt, 10)
	f.exporter = startExporter(t, bulkexport.Config{
		Source: wholeTables{source, source}, MaxFileResources: 10,
		Observer: bulkexport.Observer{
			JobEnded:  func(_ context.Context, job bulkexport.Job) { f.ended <- job },
			PartEnded: func(_ context.Context, _ bulkexport.Job, a bulkexport.PartAttempt) { attempts <- a },
		},
	})
	undisturbed := f.linesOf(f.kickOff(time.Time{}))
	require.Len(t, undisturbed, gatedRows)
	require.NoError(t, (<-attempts).Err)

	tx := server.Begin()
	require.NoError(t, tx.Exec("SELECT pg_advisory_xact_lock(1)").Error)
	job := f.kickOff(time.Time{})
	const waits = `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE wait_event = 'advisory' AND datname = current_database())`
	for waiting := false; !waiting; {
		require.NoError(t, server.Raw(waits).Row().Scan(&waiting))
	}
	interrupt()
	first := <-attempts
	require.Error(t, first.Err)
	require.NotEmpty(t, first.Part.Files, "what was written is kept")
	require.NoError(t, tx.Rollback().Error)

	require.Equal(t, undisturbed, f.linesOf(job))
	second := <-attempts
	require.NoError(t, second.Err)
	require.Equal(t, first.Part.Attempt+1, second.Part.Attempt)
	require.Equal(t, first.Part.Files, second.Part.Files[:len(first.Part.Files)])
	return first.Err
}

// linesOf waits for the only job that runs, and returns the lines of its files in
// their order.
func (f *follower) linesOf(job bulkexport.Job) []string {
	f.t.Helper()
	f.finish(job)
	return slices.Collect(f.lines(job.ID, bulkexport.FileOutput))
}

package gormsource_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"

	"github.com/bulkexport/bulkexport"
)

// wholeTables has types read in one part each.
type wholeTables struct {
	bulkexport.ResourceSource
	bulkexport.SourceClock
}

// testPostgresLostConnection has the server end all connections of the source while it
// reads: one waits in the middle of its second batch, at a lock.
func testPostgresLostConnection(t *testing.T, dsn string) {
	admin := open(t, postgres.Open(dsn))
	table := docs(t, admin)
	const rows, gate = 300, 150
	for n := range rows {
		addDoc(t, admin, n, "Patient", fmt.Sprintf(`{"resourceType":"Patient","id":"%d"}`, n))
	}
	create(t, admin, fmt.Sprintf(`CREATE FUNCTION gate(n bigint, body text) RETURNS text LANGUAGE plpgsql STABLE AS '
		BEGIN IF n = %d THEN PERFORM pg_advisory_xact_lock_shared(1); END IF; RETURN body; END'`, gate),
		"CREATE VIEW gated AS SELECT n, kind, changed, gate(n, body) AS body FROM docs")
	table.Name = "gated"
	source := newTables(t, open(t, postgres.Open(withSetting(t, dsn, "application_name", "source"))), table)

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
	require.Len(t, undisturbed, rows)
	require.NoError(t, (<-attempts).Err)

	tx := admin.Begin()
	require.NoError(t, tx.Exec("SELECT pg_advisory_xact_lock(1)").Error)
	job := f.kickOff(time.Time{})
	const waits = `SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE wait_event = 'advisory' AND datname = current_database())`
	for waiting := false; !waiting; {
		require.NoError(t, admin.Raw(waits).Row().Scan(&waiting))
	}
	const terminate = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
		WHERE application_name = 'source' AND datname = current_database()`
	var lost int
	require.NoError(t, admin.Raw(terminate).Row().Scan(&lost))
	require.NotZero(t, lost)
	first := <-attempts
	require.Error(t, first.Err)
	require.NotEmpty(t, first.Part.Files, "what was written is kept")
	require.NoError(t, tx.Rollback().Error)

	require.Equal(t, undisturbed, f.linesOf(job))
	second := <-attempts
	require.NoError(t, second.Err)
	require.Equal(t, first.Part.Attempt+1, second.Part.Attempt)
	require.Equal(t, first.Part.Files, second.Part.Files[:len(first.Part.Files)])
}

// linesOf waits for the only job that runs, and returns the lines of its files in
// their order.
func (f *follower) linesOf(job bulkexport.Job) []string {
	f.t.Helper()
	f.finish(job)
	return slices.Collect(f.lines(job.ID, bulkexport.FileOutput))
}

package gormsource_test

import (
	"context"
	"iter"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// requireCancel runs a call, cancels it once it waits, and returns how long it
// then took to return. waits returns when it does, or when the call is over.
func requireCancel(
	t *testing.T, waits func(over func() bool), call func(context.Context) error,
) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	returned := make(chan error, 1)
	go func() { returned <- call(ctx) }()
	over := func() bool { return len(returned) > 0 }
	waits(over)
	require.False(t, over(), "the call does not wait")
	began := time.Now()
	cancel()
	err := <-returned
	took := time.Since(began)
	require.ErrorIs(t, err, context.Canceled)
	return took
}

// slowSource tells when a stream is asked for.
type slowSource struct {
	*gormsource.Tables
	reading chan struct{}
}

func (s slowSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	s.reading <- struct{}{}
	return s.Tables.Resources(ctx, q)
}

// Views whose rows are there at once, but not their bodies.
const (
	slowView = `CREATE FUNCTION slowly(text) RETURNS text LANGUAGE plpgsql STABLE
		AS 'BEGIN PERFORM pg_sleep(3600); RETURN $1; END';
		CREATE VIEW slow AS SELECT n, changed, slowly(body) AS body FROM docs`
	endlessView = `CREATE VIEW slow AS SELECT n, changed, CAST((
		WITH RECURSIVE r (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM r) SELECT body FROM r WHERE i = 0
	) AS TEXT) AS body FROM docs`
)

// TestSQLiteSlowRead deletes an export that is in the middle of a statement which
// would never end.
func TestSQLiteSlowRead(t *testing.T) {
	t.Parallel()
	for rows, open := range map[string]database{"at once": openSQLite, "by the driver": openSQLiteByDriver} {
		for name, elsewhere := range map[string]bool{"here": false, "elsewhere": true} {
			t.Run(rows+"/"+name, func(t *testing.T) {
				t.Parallel()
				db := open(t)
				pool, err := db.DB()
				require.NoError(t, err)
				deleteInSlowRead(t, db, endlessView, elsewhere, func() bool { return pool.Stats().InUse > 0 })
			})
		}
	}
}

func testPostgresSlowRead(t *testing.T, dsn string) { postgresSlowRead(t, dsn, false) }

func testPostgresSlowReadElsewhere(t *testing.T, dsn string) { postgresSlowRead(t, dsn, true) }

func postgresSlowRead(t *testing.T, dsn string, elsewhere bool) {
	t.Helper()
	admin := open(t, postgres.Open(dsn))
	deleteInSlowRead(t, open(t, postgres.Open(dsn)), slowView, elsewhere, func() (sleeps bool) {
		const query = `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event = 'PgSleep')`
		require.NoError(t, admin.Raw(query).Row().Scan(&sleeps))
		return sleeps
	})
}

// deleteInSlowRead has busy tell whether the database is at work. Elsewhere means
// by another exporter on the same store, as another process has it.
func deleteInSlowRead(t *testing.T, db *gorm.DB, view string, elsewhere bool, busy func() bool) {
	t.Helper()
	table := docs(t, db)
	addDoc(t, db, 1, "Patient", "{}")
	create(t, db, view)
	table.Name, table.TypeColumn, table.Type = "slow", "", "Patient"
	source := slowSource{newTables(t, db, table), make(chan struct{}, 1)}
	ended := make(chan bulkexport.PartAttempt, 1)
	cfg := bulkexport.Config{Source: source, Store: memstore.New(), Sink: memsink.New(), Observer: bulkexport.Observer{
		PartEnded: func(_ context.Context, _ bulkexport.Job, a bulkexport.PartAttempt) { ended <- a },
	}}
	worker := startExporter(t, cfg)
	deleter := worker
	if elsewhere { // it is not started, so that it has no part in the work
		cfg.Logger = slog.New(slog.DiscardHandler)
		other, err := bulkexport.New(cfg)
		require.NoError(t, err)
		deleter = other
	}
	job, err := worker.KickOff(t.Context(), client, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
	require.NoError(t, err)
	<-source.reading
	for !busy() {
		require.Empty(t, ended)
	}
	began := time.Now()
	require.NoError(t, deleter.Delete(t.Context(), client, job.ID))
	attempt := <-ended
	returned := time.Since(began)
	require.Error(t, attempt.Err)
	for busy() { // the driver asks the server to end it, but does not wait for that
	}
	t.Logf("the attempt ended %v after DELETE, the statement %v", returned, time.Since(began))
	require.Len(t, readTypes(t, source), 1, "connections go on")
}

func readTypes(t *testing.T, source bulkexport.ResourceSource) []string {
	t.Helper()
	types, err := source.Types(t.Context(), query("").Scope)
	require.NoError(t, err)
	return types
}

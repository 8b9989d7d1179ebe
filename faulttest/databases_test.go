package faulttest_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// The adapters for databases and files, as hosts use them: jobs and resources in
// one database, and processes with handles of their own.

func TestSQLite(t *testing.T) {
	t.Parallel()
	run(t, inDatabase(func(t *testing.T) gorm.Dialector {
		t.Helper()
		file := filepath.Join(t.TempDir(), "test.db")
		return sqlite.Open("file:" + file + "?_journal_mode=WAL&_synchronous=OFF&_busy_timeout=20000")
	}, func(t *testing.T) func() bulkexport.OutputSink {
		t.Helper()
		dir := t.TempDir()
		return func() bulkexport.OutputSink {
			sink, err := filesink.New(dir)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, sink.Close()) })
			return sink
		}
	}), 60, 10)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	run(t, inDatabase(func(t *testing.T) gorm.Dialector {
		t.Helper()
		return postgres.Open(cluster.DSN(t))
	}, func(*testing.T) func() bulkexport.OutputSink {
		sink := memsink.New() // files have been with the other database
		return func() bulkexport.OutputSink { return sink }
	}), 50, 10)
}

// inDatabase is a harness on an empty database and a sink for it, which each
// process opens for itself.
func inDatabase(
	newDatabase func(t *testing.T) gorm.Dialector, newSink func(t *testing.T) func() bulkexport.OutputSink,
) faulttest.Harness {
	h := representative()
	h.Config.Filter = spoilOne
	// Each process that comes anew has the next of these.
	var processes []faulttest.Parts
	var next int
	h.Open = func(t *testing.T) faulttest.Parts {
		t.Helper()
		database, sink := newDatabase(t), newSink(t)
		processes = nil
		for range 3 {
			processes = append(processes, openParts(t, database, sink()))
		}
		source := processes[0].Source.(*gormsource.Repository)
		fill(t, func(resource string) error {
			_, err := source.Put(t.Context(), alice.Tenant, []byte(resource))
			return err
		})
		return processes[0]
	}
	h.Reopen = func(*testing.T, faulttest.Parts) faulttest.Parts {
		next++
		return processes[next%len(processes)]
	}
	var n atomic.Int64
	h.Change = func(ctx context.Context, parts faulttest.Parts) error {
		source := parts.Source.(*gormsource.Repository)
		resource := fmt.Appendf(nil, `{"resourceType":"Patient","id":"p1","name":[{"family":"%d"}]}`, n.Add(1))
		if _, err := source.Put(ctx, alice.Tenant, resource); err != nil {
			return err
		}
		return source.Delete(ctx, alice.Tenant, "Observation", fmt.Sprintf("o%d", n.Load()))
	}
	return h
}

func openParts(t *testing.T, database gorm.Dialector, sink bulkexport.OutputSink) faulttest.Parts {
	t.Helper()
	// A dialector keeps what it has opened.
	switch d := database.(type) {
	case *sqlite.Dialector:
		database = sqlite.Open(d.DSN)
	case *postgres.Dialector:
		database = postgres.Open(d.DSN)
	}
	db, err := gorm.Open(database, &gorm.Config{Logger: logger.Discard})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxIdleConns(4)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	source, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	require.NoError(t, err)
	require.NoError(t, source.Migrate(t.Context()))
	store, err := gormstore.New(db)
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	return faulttest.Parts{Source: source, Store: store, Sink: sink}
}

package gormsource_test

import (
	"context"
	"database/sql"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// calls are the methods of a source, by name and level.
type calls map[string]func(context.Context) error

func drained[T any](stream iter.Seq2[T, error]) (last error) {
	for _, err := range stream {
		last = err
	}
	return last
}

func repositoryCalls(t *testing.T, repo *gormsource.Repository) calls {
	t.Helper()
	patient := []byte(`{"resourceType":"Patient","id":"p"}`)
	for _, resource := range []string{
		string(patient), `{"resourceType":"Patient","id":"q"}`,
		`{"resourceType":"Group","id":"g","actual":true,"member":[{"entity":{"reference":"Patient/p"}}]}`,
	} {
		_, err := repo.Put(t.Context(), "", []byte(resource))
		require.NoError(t, err)
	}
	at, err := repo.TransactionTime(t.Context(), "")
	require.NoError(t, err)
	all := calls{
		"TransactionTime": func(ctx context.Context) error { _, err := repo.TransactionTime(ctx, ""); return err },
		"CheckGroup":      func(ctx context.Context) error { return repo.CheckGroup(ctx, "", "g") },
		"UnknownPatients": func(ctx context.Context) error {
			scope := bulkexport.Scope{Level: bulkexport.LevelPatient}
			_, err := repo.UnknownPatients(ctx, scope, []string{"p", "x"})
			return err
		},
		"LatestProvenance": func(ctx context.Context) error {
			_, err := repo.LatestProvenance(ctx, query("Provenance"), "Patient", "p")
			return err
		},
		"Resources of now": func(ctx context.Context) error { return drained(repo.Resources(ctx, query("Patient"))) },
		"Migrate":          repo.Migrate,
		"Put":              func(ctx context.Context) error { _, err := repo.Put(ctx, "", patient); return err },
		"Delete":           func(ctx context.Context) error { return repo.Delete(ctx, "", "Patient", "q") },
		"Load": func(ctx context.Context) error {
			_, err := repo.Load(ctx, "", strings.NewReader(string(patient)), gormsource.LoadOptions{})
			return err
		},
	}
	for _, level := range []bulkexport.Level{bulkexport.LevelSystem, bulkexport.LevelPatient, bulkexport.LevelGroup} {
		q := query("Patient")
		q.Level, q.AsOf = level, at
		if level == bulkexport.LevelGroup {
			q.Group = "g"
		}
		all.add(string(level), repo, repo, repo, q)
		all["Deletions "+string(level)] = func(ctx context.Context) error {
			q := q
			q.Since = time.Unix(0, 0)
			return drained(repo.Deletions(ctx, q))
		}
		all["Lookup "+string(level)] = func(ctx context.Context) error {
			return drained(repo.Lookup(ctx, q, []string{"p", "q"}))
		}
		all["Blocks "+string(level)] = func(ctx context.Context) error {
			return drained(repo.Blocks(ctx, q, []string{"Patient", "Observation"}))
		}
	}
	return all
}

// add adds what all sources have.
func (c calls) add(
	name string, source bulkexport.ResourceSource, counter bulkexport.SourceCounter, splitter bulkexport.SourceSplitter,
	q bulkexport.Query,
) {
	c["Types "+name] = func(ctx context.Context) error { _, err := source.Types(ctx, q.Scope); return err }
	c["Resources "+name] = func(ctx context.Context) error { return drained(source.Resources(ctx, q)) }
	c["Count "+name] = func(ctx context.Context) error { _, err := counter.Count(ctx, q); return err }
	c["Split "+name] = func(ctx context.Context) error { _, err := splitter.Split(ctx, q, 1); return err }
}

func (c calls) addTables(t *testing.T, db *gorm.DB, source *gormsource.Tables) {
	t.Helper()
	addDoc(t, db, 1, "Patient", "{}")
	for _, level := range []bulkexport.Level{bulkexport.LevelSystem, bulkexport.LevelPatient} {
		q := query("Patient")
		q.Level = level
		c.add("of Tables "+string(level), source, source, source, q)
	}
	c["NewTables"] = func(ctx context.Context) error {
		_, err := gormsource.NewTables(ctx, db, gormsource.TablesConfig{Tables: []gormsource.Table{docsTable()}})
		return err
	}
}

// testPostgresLockedTables has somebody change the tables, for whom everybody
// waits.
func testPostgresLockedTables(t *testing.T, dsn string) {
	admin := open(t, postgres.Open(dsn))
	for _, mode := range []string{"cache_statement", "simple_protocol"} {
		schema := "of_" + mode
		create(t, admin, "CREATE SCHEMA "+schema)
		dsn := withSetting(t, withSetting(t, dsn, "search_path", schema), "default_query_exec_mode", mode)
		db, admin := open(t, postgres.Open(dsn)), open(t, postgres.Open(dsn))
		repository := repositoryCalls(t, newRepository(t, db))
		requireCancels(t, db, admin, "bulkexport_resources, bulkexport_compartment, bulkexport_targets, bulkexport_clock",
			repository)
		tables := calls{}
		tables.addTables(t, db, newTables(t, db, docs(t, db)))
		requireCancels(t, db, admin, "docs", tables)
	}
}

// requireCancels cancels each call while it waits for tables.
func requireCancels(t *testing.T, db, admin *gorm.DB, tables string, all calls) {
	t.Helper()
	pool, err := db.DB()
	require.NoError(t, err)
	waits := func() (waits bool) {
		const query = `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
			WHERE NOT l.granted AND a.datname = current_database())`
		require.NoError(t, admin.Raw(query).Row().Scan(&waits))
		return waits
	}
	var longest time.Duration
	for name, call := range all {
		require.NoError(t, call(t.Context()), name)
		tx := admin.Begin(&sql.TxOptions{})
		require.NoError(t, tx.Exec("LOCK TABLE "+tables+" IN ACCESS EXCLUSIVE MODE").Error)
		took := requireCancel(t, func(over func() bool) {
			for !waits() && !over() {
			}
		}, call)
		longest = max(longest, took)
		// The driver asks the server to end it, and database/sql a transaction to
		// roll back, but neither waits for that.
		for pool.Stats().InUse > 0 || waits() {
		}
		require.NoError(t, tx.Rollback().Error)
		require.NoError(t, call(t.Context()), name)
	}
	t.Logf("%d calls returned after %v at most", len(all), longest)
}

// TestSQLiteLockedFile has a writer that keeps everybody from reading, as one does
// that commits to a rollback journal. What writes waits as the driver does.
func TestSQLiteLockedFile(t *testing.T) {
	t.Parallel()
	f := newSharedFile(t, "DELETE")
	repo, err := gormsource.NewRepository(f.db, gormsource.RepositoryConfig{})
	require.NoError(t, err)
	all := repositoryCalls(t, repo)
	for _, writes := range []string{"Put", "Delete", "Load", "Migrate"} {
		delete(all, writes)
	}
	all.addTables(t, f.db, f.clocks["Tables"].(*gormsource.Tables))

	var longest time.Duration
	for name, call := range all {
		require.NoError(t, call(t.Context()), name)
		f.as(t, "BEGIN EXCLUSIVE")
		longest = max(longest, requireCancel(t, f.waits, call))
		require.Zero(t, f.pool.Stats().InUse, name)
		f.as(t, "COMMIT")
		require.NoError(t, call(t.Context()), name)

		f.as(t, "BEGIN EXCLUSIVE")
		returned := make(chan error, 1)
		go func() { returned <- call(t.Context()) }()
		f.waits(func() bool { return len(returned) > 0 })
		f.as(t, "COMMIT")
		require.NoError(t, <-returned, name)
	}
	t.Logf("%d calls returned after %v at most", len(all), longest)
}

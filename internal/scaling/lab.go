package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgserver"
	"github.com/bulkexport/bulkexport/internal/serverproc"
	"github.com/bulkexport/bulkexport/internal/synthetic"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// lab is a private PostgreSQL with resources, and the program of the server.
type lab struct {
	dir        string
	binary     string
	url        string // of the database
	postmaster int    // process id
	gorm       *gorm.DB
	db         *sql.DB // of gorm
	resources  int64
	types      []resourceType
	exports    int
}

// inLab sets a lab up, and removes it afterwards.
func inLab(ctx context.Context, o options, do func(*lab) error) (err error) {
	dir, err := os.MkdirTemp("", "scaling")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the server's user has to enter; made-up data
		return err
	}
	l := &lab{dir: dir, binary: filepath.Join(dir, "server")}
	if err := serverproc.Build(ctx, l.binary); err != nil {
		return err
	}
	server, err := pgserver.Open(ctx, filepath.Join(dir, "postgres"),
		"shared_buffers=1GB", "max_wal_size=4GB", "shared_preload_libraries=pg_stat_statements")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	l.url = server.URL().String()
	if err := l.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.db.Close()) }()
	if err := l.load(ctx, o.resources); err != nil {
		return fmt.Errorf("load resources: %w", err)
	}
	return do(l)
}

func (l *lab) open(ctx context.Context) (err error) {
	l.gorm, err = gorm.Open(postgres.Open(l.url), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	if l.db, err = l.gorm.DB(); err != nil {
		return err
	}
	if _, err := l.db.ExecContext(ctx, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return fmt.Errorf("pg_stat_statements, of PostgreSQL's contrib modules, is needed: %w", err)
	}
	var backend int
	if err := l.db.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		return err
	}
	s, err := readStat(backend)
	l.postmaster = s.parent
	return err
}

// resourcesOfPatient is what a made-up patient has, about.
const resourcesOfPatient = 45

func (l *lab) load(ctx context.Context, resources int) error {
	records, err := gormsource.NewRepository(l.gorm, gormsource.RepositoryConfig{})
	if err != nil {
		return err
	}
	if err := records.Migrate(ctx); err != nil {
		return err
	}
	reader, writer := io.Pipe()
	go func() { writer.CloseWithError(synthetic.Write(writer, resources/resourcesOfPatient)) }()
	if l.resources, err = records.Load(ctx, "", reader, gormsource.LoadOptions{}); err != nil {
		return err
	}
	if _, err := l.db.ExecContext(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	scope := bulkexport.Scope{Level: bulkexport.LevelSystem}
	types, err := records.Types(ctx, scope)
	for _, name := range types {
		n, errCount := records.Count(ctx, bulkexport.Query{Scope: scope, Type: name})
		err = errors.Join(err, errCount)
		l.types = append(l.types, resourceType{name, n})
	}
	return err
}

// resourceType is one of those that there are.
type resourceType struct {
	name  string
	count int64
}

// share returns a type that has about a part of all resources.
func (l *lab) share(part int64) resourceType {
	distance := func(t resourceType) int64 { return max(t.count-l.resources/part, l.resources/part-t.count) }
	return slices.MinFunc(l.types, func(a, b resourceType) int { return cmp.Compare(distance(a), distance(b)) })
}

// reading is what the counters of the database stand at.
type reading struct {
	cpu             float64
	statements, wal float64
}

// probe marks statements of this command, which are not counted.
const probe = " /* scaling */"

// read reads the counters.
func (l *lab) read(ctx context.Context) (r reading, err error) {
	if r.cpu, err = processorTime(l.postmaster); err != nil {
		return r, err
	}
	err = l.db.QueryRowContext(ctx, `SELECT coalesce(sum(calls), 0),
		(SELECT pg_current_wal_insert_lsn() - '0/0')
		FROM pg_stat_statements WHERE query NOT LIKE '%/* scaling */%'`+probe).Scan(&r.statements, &r.wal)
	return r, err
}

func (r reading) since(before reading) reading {
	return reading{r.cpu - before.cpu, r.statements - before.statements, r.wal - before.wal}
}

// statement is what is known of statements that look alike.
type statement struct{ calls, mean float64 } // the latter in seconds

// statement returns what is known of statements that are like a pattern.
func (l *lab) statement(ctx context.Context, pattern string) (s statement, err error) {
	err = l.db.QueryRowContext(ctx, `SELECT coalesce(sum(calls), 0),
		coalesce(sum(total_exec_time) / sum(calls) / 1000, 0)
		FROM pg_stat_statements WHERE query LIKE $1`+probe, pattern).Scan(&s.calls, &s.mean)
	if err == nil && s.calls == 0 {
		err = fmt.Errorf("no statement is like %q", pattern)
	}
	fmt.Fprintf(os.Stderr, "  %.0f × %.3f ms  %s\n", s.calls, 1000*s.mean, pattern)
	return s, err
}

func (l *lab) resetStatements(ctx context.Context) error {
	_, err := l.db.ExecContext(ctx, "SELECT pg_stat_statements_reset()"+probe)
	return err
}

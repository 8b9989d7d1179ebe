//go:build unix

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

// store is the database that this command shares with the servers: it writes the
// resources, and looks whether they leave jobs behind.
type store struct {
	pool    *sql.DB
	records *gormsource.Repository
	files   string
}

func openStore(ctx context.Context, o options) (*store, error) {
	dialector := postgres.Open(o.dsn)
	if o.dsn == "" {
		if err := os.MkdirAll(o.dir, 0o700); err != nil {
			return nil, err
		}
		// The same settings as those of the example server, in the file that it uses.
		query := url.Values{
			"_journal_mode": {"WAL"}, "_synchronous": {"NORMAL"}, "_busy_timeout": {"10000"}, "_txlock": {"immediate"},
		}
		dialector = sqlite.Open("file:" + filepath.ToSlash(filepath.Join(o.dir, "bulkexport.db")) + "?" + query.Encode())
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	s := &store{files: filepath.Join(o.dir, "files")}
	if s.pool, err = db.DB(); err != nil {
		return nil, err
	}
	s.pool.SetMaxOpenConns(4)
	if s.records, err = gormsource.NewRepository(db, gormsource.RepositoryConfig{}); err == nil {
		err = s.records.Migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.pool.Close())
	}
	return s, nil
}

// jobs returns the ids of all jobs that the servers keep.
func (s *store) jobs(ctx context.Context) ([]string, error) {
	rows, err := s.pool.QueryContext(ctx, "SELECT id FROM bulkexport_jobs")
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var ids []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// parts returns how many parts the servers keep.
func (s *store) parts(ctx context.Context) (n int, err error) {
	err = s.pool.QueryRowContext(ctx, "SELECT count(*) FROM bulkexport_parts").Scan(&n)
	return n, err
}

// left says what there still is, of all jobs; "" means nothing.
func (s *store) left(ctx context.Context) (string, error) {
	jobs, err := s.jobs(ctx)
	if err != nil {
		return "", err
	}
	parts, err := s.parts(ctx)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(s.files)
	if err != nil {
		return "", err
	}
	if len(jobs)+parts+len(entries) == 0 {
		return "", nil
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return fmt.Sprintf("jobs %q, %d parts, folders %q", jobs, parts, names), nil
}

// hasFiles reports whether there is a folder of a job.
func (s *store) hasFiles(jobID string) bool {
	_, err := os.Stat(filepath.Join(s.files, jobID))
	return err == nil
}

package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// CreateJob implements [bulkexport.JobStore].
func (s *Store) CreateJob(ctx context.Context, job bulkexport.Job) error {
	const name = "create job"
	if !storable(job.ID) || !storable(job.Tenant) || !storable(job.Client) {
		return fmt.Errorf("gormstore: %s: id, tenant or client is not UTF-8 without NUL", name)
	}
	doc, err := encodeJob(job)
	if err != nil {
		return fmt.Errorf("gormstore: %s: %w", name, err)
	}
	return s.write(ctx, name, func(ctx context.Context, db session) error {
		result, err := db.ExecContext(ctx, `INSERT INTO bulkexport_jobs
			(id, tenant, state, expires_at, doc) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (id) DO NOTHING`,
			job.ID, job.Tenant, string(job.State), expiry(job.ExpiresAt), doc)
		if err != nil {
			return err
		}
		created, err := result.RowsAffected()
		if err == nil && created == 0 {
			return bulkexport.ErrJobExists
		}
		return err
	})
}

// Job implements [bulkexport.JobStore].
func (s *Store) Job(ctx context.Context, id string) (bulkexport.Job, error) {
	const name = "get job"
	if !storable(id) {
		return bulkexport.Job{}, explain(ctx, name, bulkexport.ErrJobNotFound)
	}
	var job bulkexport.Job
	err := s.read(ctx, name, func(ctx context.Context, db session) (err error) {
		job, err = selectJob(ctx, db, id)
		return err
	})
	return job, err
}

// UpdateJob implements [bulkexport.JobStore]. An error of fn is returned as it
// is.
func (s *Store) UpdateJob(
	ctx context.Context, id string, fn func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	var stored bulkexport.Job
	err := s.writeJob(ctx, "update job", s.dialect.lockJob, id, func(ctx context.Context, db session) error {
		job, err := selectJob(ctx, db, id)
		if err != nil {
			return err
		}
		if err := fn(&job); err != nil {
			return refusal{err}
		}
		doc, err := encodeJob(job)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx,
			`UPDATE bulkexport_jobs SET state = $1, expires_at = $2, doc = $3, revision = revision + 1
			WHERE id = $4`,
			string(job.State), expiry(job.ExpiresAt), doc, id)
		if err != nil {
			return err
		}
		stored, err = decodeJob([]byte(doc))
		return err
	})
	if err != nil {
		return bulkexport.Job{}, err
	}
	return stored, nil
}

// Jobs implements [bulkexport.JobStore].
func (s *Store) Jobs(ctx context.Context, filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	const name = "list jobs"
	query, args := listQuery(filter)
	docs, err := s.queryDocs(ctx, name, query, args...)
	if err != nil {
		return nil, err
	}
	jobs := make([]bulkexport.Job, len(docs))
	for i, doc := range docs {
		if jobs[i], err = decodeJob(doc); err != nil {
			return nil, fmt.Errorf("gormstore: %s: %w", name, err)
		}
	}
	return jobs, nil
}

func listQuery(f bulkexport.JobFilter) (query string, args []any) {
	arg := func(v any) string {
		args = append(args, v)
		return "$" + strconv.Itoa(len(args))
	}
	query = "SELECT doc FROM bulkexport_jobs WHERE id > " + arg(f.After)
	if len(f.States) > 0 {
		states := make([]string, len(f.States))
		for i, state := range f.States {
			states[i] = arg(string(state))
		}
		query += " AND state IN (" + strings.Join(states, ", ") + ")"
	}
	if f.Tenant != nil {
		query += " AND tenant = " + arg(*f.Tenant)
	}
	if !f.ExpiredBy.IsZero() {
		query += " AND expires_at <= " + arg(f.ExpiredBy.UnixMicro())
	}
	query += " ORDER BY id"
	if f.Limit > 0 {
		query += " LIMIT " + arg(f.Limit)
	}
	return query, args
}

// DeleteJob implements [bulkexport.JobStore].
func (s *Store) DeleteJob(ctx context.Context, id string) error {
	if !storable(id) {
		return nil
	}
	return s.writeJob(ctx, "delete job", s.dialect.lockJob, id, func(ctx context.Context, db session) error {
		for _, statement := range []string{
			"DELETE FROM bulkexport_parts WHERE job_id = $1",
			"DELETE FROM bulkexport_jobs WHERE id = $1",
		} {
			if _, err := db.ExecContext(ctx, statement, id); err != nil {
				return err
			}
		}
		return nil
	})
}

func selectJob(ctx context.Context, db session, id string) (bulkexport.Job, error) {
	var doc []byte
	err := db.QueryRowContext(ctx, "SELECT doc FROM bulkexport_jobs WHERE id = $1", id).Scan(&doc)
	if errors.Is(err, sql.ErrNoRows) {
		return bulkexport.Job{}, bulkexport.ErrJobNotFound
	}
	if err != nil {
		return bulkexport.Job{}, err
	}
	return decodeJob(doc)
}

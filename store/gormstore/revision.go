package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"github.com/bulkexport/bulkexport"
)

// Parts have revisions of their own, so that those who update them do not meet at
// the job. The sum grows with each of them.
const revisionQuery = `SELECT j.revision + CAST(coalesce(
	(SELECT sum(p.revision) FROM bulkexport_parts p WHERE p.job_id = j.id), 0) AS bigint)
	FROM bulkexport_jobs j WHERE j.id = $1`

// Revision implements [bulkexport.StoreRevisions].
func (s *Store) Revision(ctx context.Context, id string) (revision int64, err error) {
	const name = "get revision"
	if !storable(id) {
		return 0, explain(ctx, name, bulkexport.ErrJobNotFound)
	}
	err = s.retry(ctx, name, func() error {
		revision, err = s.selectRevision(ctx, id)
		return err
	})
	return revision, err
}

func (s *Store) selectRevision(ctx context.Context, id string) (revision int64, err error) {
	row, err := s.revisionRow(ctx, id)
	if err == nil {
		err = row.Scan(&revision)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = bulkexport.ErrJobNotFound
	}
	return revision, err
}

func (s *Store) revisionRow(ctx context.Context, id string) (*sql.Row, error) {
	if !s.dialect.prepares {
		return s.db.QueryRowContext(ctx, revisionQuery, id), nil
	}
	return s.revision.queryRow(ctx, s.db, revisionQuery, id)
}

// prepared is a statement that is prepared when it is first used. It belongs to
// the pool, which closes it with its connections. It is safe for concurrent use.
type prepared struct {
	mu        sync.Mutex
	statement *sql.Stmt
}

func (p *prepared) queryRow(ctx context.Context, pool *sql.DB, query string, args ...any) (*sql.Row, error) {
	if err := p.prepare(ctx, pool, query); err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	return p.statement.QueryRowContext(ctx, args...), nil
}

func (p *prepared) prepare(ctx context.Context, pool *sql.DB, query string) (err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.statement == nil {
		p.statement, err = pool.PrepareContext(ctx, query)
	}
	return err
}

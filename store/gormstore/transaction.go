package gormstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/bulkexport/bulkexport"
)

// patience bounds the time in which a call that meets conflicts is tried again.
const patience = 15 * time.Second

// refusal marks an error of the function of an update: it is handed on as it
// is, and no reason to try again, whatever it says.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// writeJob runs op in a transaction that begins with lock, one of the dialect's
// statements, for the job.
func (s *Store) writeJob(ctx context.Context, name, lock, jobID string, op operation) error {
	if !storable(jobID) {
		return explain(ctx, name, bulkexport.ErrJobNotFound)
	}
	return s.write(ctx, name, func(ctx context.Context, db session) error {
		if lock != "" {
			if _, err := db.ExecContext(ctx, lock, jobID); err != nil {
				return err
			}
		}
		return op(ctx, db)
	})
}

// write runs op in a transaction.
func (s *Store) write(ctx context.Context, name string, op operation) error {
	return s.inTurn(ctx, name, func() error {
		return s.retry(ctx, name, func() error { return s.dialect.transact(ctx, s.db, op) })
	})
}

// inTurn runs fn, which writes, when it may.
func (s *Store) inTurn(ctx context.Context, name string, fn func() error) error {
	if s.dialect.oneWriter {
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
		case <-ctx.Done():
			return explain(ctx, name, ctx.Err())
		}
	}
	return fn()
}

// read runs op without a transaction: it only reads, or each of its statements may
// stand alone.
func (s *Store) read(ctx context.Context, name string, op operation) error {
	return s.retry(ctx, name, func() error { return s.dialect.read(ctx, s.db, op) })
}

// retry runs op again as long as it conflicts with others. Its errors carry the
// name of the call.
func (s *Store) retry(ctx context.Context, name string, op func() error) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 2*time.Millisecond, 200*time.Millisecond
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		err := op()
		var refused refusal
		if err != nil && (errors.As(err, &refused) || !s.dialect.isConflict(err)) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(patience))
	return explain(ctx, name, err)
}

// explain makes sure that the error of a context that has ended is found: not
// every driver passes it on, and backoff returns the cause instead.
func explain(ctx context.Context, name string, err error) error {
	var refused refusal
	ended := ctx.Err()
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return refused.error
	case ended != nil && !errors.Is(err, ended):
		return fmt.Errorf("gormstore: %s: %w: %w", name, ended, err)
	}
	return fmt.Errorf("gormstore: %s: %w", name, err)
}

// queryDocs returns one column of documents; NULL is nil.
func (s *Store) queryDocs(ctx context.Context, name, query string, args ...any) ([][]byte, error) {
	var docs [][]byte
	err := s.read(ctx, name, func(ctx context.Context, db session) error {
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		docs = docs[:0]
		for rows.Next() {
			var doc []byte
			if err := rows.Scan(&doc); err != nil {
				return err
			}
			docs = append(docs, doc)
		}
		return rows.Err()
	})
	return docs, err
}

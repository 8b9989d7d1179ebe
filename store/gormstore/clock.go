package gormstore

import (
	"context"
	"errors"
	"time"
)

// Time implements [bulkexport.StoreClock] with the clock of the PostgreSQL server.
// On SQLite, which has none but that of this machine, the error wraps
// [errors.ErrUnsupported].
func (s *Store) Time(ctx context.Context) (at time.Time, err error) {
	const name = "get time"
	if s.dialect.clock == "" {
		return time.Time{}, explain(ctx, name, errors.ErrUnsupported)
	}
	err = s.retry(ctx, name, func() error { return s.db.QueryRowContext(ctx, s.dialect.clock).Scan(&at) })
	return at.UTC(), err
}

package gormsource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/fhir"
)

// ErrInvalidResource means that something is not a FHIR resource that can be
// stored: not JSON, of no type of FHIR, or without a valid id. Errors that wrap it
// say what is wrong, but never quote it.
var ErrInvalidResource = errors.New("invalid resource")

// Put stores a resource byte for byte. It supersedes the one of the same type
// and id. It returns the last update, which is the time of the call, whatever
// meta.lastUpdated says: incremental exports depend on it. The resource is not
// kept.
//
// Errors: [ErrInvalidResource].
func (r *Repository) Put(ctx context.Context, tenant string, resource []byte) (time.Time, error) {
	v, err := r.parse(resource)
	if err != nil {
		return time.Time{}, fmt.Errorf("gormsource: put: %w", err)
	}
	v.historical = 0
	versions := []version{v}
	err = r.write(ctx, func(tx *gorm.DB, s stamp) error {
		return store(tx, tenant, versions, s)
	})
	if err != nil {
		return time.Time{}, wrap(ctx, "put", err)
	}
	return time.UnixMicro(versions[0].lastUpdated).UTC(), nil
}

// Delete marks a resource as deleted. One that does not exist, or is deleted
// already, is left alone.
func (r *Repository) Delete(ctx context.Context, tenant, resourceType, id string) error {
	if !fhir.ValidID(id) { // PostgreSQL would not even compare some of these
		return nil
	}
	err := r.write(ctx, func(tx *gorm.DB, s stamp) error {
		return r.dialect.bury(tx, tenant, name{resourceType, id}, s)
	})
	return wrap(ctx, "delete", err)
}

// maxTries bounds how often a write is repeated that loses to another one.
const maxTries = 10

// write runs fn in a transaction of its own. fn may run several times.
func (r *Repository) write(ctx context.Context, fn func(tx *gorm.DB, s stamp) error) error {
	for try := 1; ; try++ {
		err := r.gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
			s, err := r.dialect.stamp(tx)
			if err != nil {
				return err
			}
			return fn(tx, s)
		}, r.dialect.tx)
		if try == maxTries || !isConflict(err) {
			return err
		}
	}
}

// isConflict reports whether a write met another one of the same resource,
// which is over by then, so that it can be repeated at once.
func isConflict(err error) bool {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		const uniqueViolation, deadlock = "23505", "40P01"
		return pgErr.Code == uniqueViolation || pgErr.Code == deadlock
	}
	return errors.Is(err, gorm.ErrDuplicatedKey) // where gorm translates errors
}

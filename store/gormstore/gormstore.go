// Package gormstore keeps jobs in three tables of the host's own SQLite or
// PostgreSQL database.
//
//	store, err := gormstore.New(db)
//	if err != nil {
//		return err
//	}
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//
// # Durability
//
// What a method has stored survives a crash of the process. Whether it survives
// one of the machine is up to the database: synchronous_commit on PostgreSQL,
// PRAGMA synchronous on SQLite.
//
// # Sharing
//
// Any number of processes may use one database. Writers of a job keep out of
// each other's way by an advisory lock that ends with the transaction on
// PostgreSQL, and by the lock of the file on SQLite. What conflicts all the same
// is tried again for some seconds, so the function of an update may be called
// again.
//
// # Setup
//
// PostgreSQL 11 or later, at any isolation level and behind any pooler that
// keeps transactions together; SQLite 3.24 or later, in any transaction mode.
// SQLite is best opened with WAL, so that a status request does not wait for a
// worker, as in "file:export.db?_journal_mode=WAL". A database in memory needs a
// pool of one connection, since each connection would see one of its own, and is
// gone with it: a cancelled call may cost the connection.
//
// The store takes the connection pool out of the *gorm.DB and runs its own SQL
// on it. Loggers and plugins of the handle do not apply: logged SQL would show
// kick-off URLs, which may hold identifiers of patients, and a read from a
// replica would miss what was just written.
package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
)

var (
	_ bulkexport.JobStore       = (*Store)(nil)
	_ bulkexport.StoreRevisions = (*Store)(nil)
	_ bulkexport.StoreClock     = (*Store)(nil)
	_ bulkexport.Limiter        = (*Store)(nil)
)

// Store is a [bulkexport.JobStore] in the tables bulkexport_jobs and
// bulkexport_parts, and a [bulkexport.Limiter] in bulkexport_limits. It is safe for
// concurrent use.
//
// Ids, tenants and clients must be UTF-8 without NUL, which is all that
// PostgreSQL can compare; CreateJob refuses others.
type Store struct {
	db      *sql.DB
	dialect dialect
	turn    chan struct{} // full while a transaction writes, if there may be but one

	revision prepared
	limits   *limits
}

// New returns a store in the database that db is connected to. The host goes on
// to own db: it closes it after the last use of the store. One store is enough for
// each db: on SQLite it leaves a statement prepared on its connections. New does not use the
// connection; the tables must exist when the first other method is called, see
// [Store.Migrate].
func New(db *gorm.DB) (*Store, error) {
	if db == nil || db.Config == nil || db.Dialector == nil {
		return nil, errors.New("gormstore: new: the database is not open")
	}
	dialect, err := dialectNamed(db.Name())
	if err != nil {
		return nil, fmt.Errorf("gormstore: new: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("gormstore: new: %w", err)
	}
	return &Store{db: pool, dialect: dialect, turn: make(chan struct{}, 1), limits: newLimits(dialect)}, nil
}

// Migrate creates the tables where they do not exist yet, and adds what those of
// earlier versions lack. Several processes may do so at once.
func (s *Store) Migrate(ctx context.Context) error {
	return s.write(ctx, "migrate", func(ctx context.Context, db session) error {
		for _, statement := range s.dialect.migration {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return s.addRevisions(ctx, db)
	})
}

func (s *Store) addRevisions(ctx context.Context, db session) error {
	for table, first := range map[string]string{"bulkexport_jobs": "0", "bulkexport_parts": "1"} {
		var there bool
		if err := db.QueryRowContext(ctx, s.dialect.hasRevision, table).Scan(&there); err != nil {
			return err
		}
		if there {
			continue
		}
		_, err := db.ExecContext(ctx, "ALTER TABLE "+table+" ADD COLUMN revision bigint NOT NULL DEFAULT "+first)
		if err != nil {
			return err
		}
	}
	return nil
}

// Package gormsource reads resources from SQLite or PostgreSQL through a
// *gorm.DB that the host owns.
//
// [Tables] is for a host that has its own tables: their names, columns and
// conditions are configured, nothing is copied. They hold current versions
// only, so exports are of consistency [bulkexport.Bounded]. It can have the
// system and Patient levels; [GroupTables], with the host's help, those of
// Groups.
//
// [Repository] is for a host without: it has a schema of its own, made by
// [Repository.Migrate], and a small API to write resources. Every version is
// kept together with the time at which it was replaced, so an export sees the
// state at its transactionTime whatever is written meanwhile
// ([bulkexport.Snapshot]). It can do all that a source can, but for searches.
// What it reads for a Group or for some patients costs in proportion to what
// they have, not to the database.
//
// Both may be shared by any number of processes on the same database. SQLite
// should be in WAL mode, else readers and writers block each other. A source that
// meets a lock there waits until its context ends, 10 seconds at most, whatever
// the driver's own time-out is; writes of a Repository wait as the driver does.
//
// On PostgreSQL both can read from hot standbys of their database, as far behind as
// these may be (RepositoryConfig.Replica, TablesConfig.Replica).
//
// A stream takes a connection of the pool only while it fills its buffer, of
// at most some 2 MiB, and none while its consumer works.
//
// Rows do not pass through database/sql where that can be avoided: from pgx they
// are taken as they come, and on a connection of github.com/mattn/go-sqlite3, on
// Linux with cgo, SQLite itself fills the buffer, in a third of the time. With a
// driver that wraps one of these, as for tracing, rows are read as usual. The
// build tag bulkexport_nocgo leaves this package's own use of cgo out.
//
// The statements go past gorm's logger, since their arguments name patients.
package gormsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// session is the host's handle as this package uses it.
type session struct {
	gorm    *gorm.DB
	pool    *sql.DB
	dialect dialect
	gate    *gate // nil unless it is one of a replica
}

func newSession(db *gorm.DB) (session, error) {
	if db == nil {
		return session{}, errors.New("gormsource: no database")
	}
	if db.Error != nil {
		return session{}, fmt.Errorf("gormsource: database handle: %w", db.Error)
	}
	if _, ok := db.Statement.ConnPool.(gorm.TxCommitter); ok {
		return session{}, errors.New("gormsource: the database handle is a transaction")
	}
	if len(db.Statement.Clauses) > 0 {
		return session{}, errors.New("gormsource: the database handle has conditions; use Table.Scope")
	}
	d, err := dialectOf(db)
	if err != nil {
		return session{}, err
	}
	pool, err := db.DB()
	if err != nil {
		return session{}, fmt.Errorf("gormsource: database handle: %w", err)
	}
	quiet := db.Session(&gorm.Session{NewDB: true, SkipHooks: true, Logger: logger.Discard})
	return session{gorm: quiet, pool: pool, dialect: d}, nil
}

// withConn runs a function that reads on a connection.
func (db session) withConn(ctx context.Context, fn func(*sql.Conn) error) error {
	if db.gate != nil {
		return db.gate.conn(ctx, fn)
	}
	return db.dialect.conn(ctx, db.pool, fn)
}

// guarded returns the statement as it is to be run within withConn.
func (db session) guarded(text string, args []any) (string, []any) {
	if db.gate != nil {
		return db.gate.guard(text, args)
	}
	return text, args
}

// statement has gorm build the SQL of a query, with the host's plugins applied.
func statement(query *gorm.DB) (string, []any, error) {
	var rows []map[string]any
	built := query.Session(&gorm.Session{DryRun: true}).Find(&rows)
	return built.Statement.SQL.String(), built.Statement.Vars, built.Error
}

// wrap says what was being done. A driver that was interrupted does not always
// say why, so the context's error is added where it is missing.
func wrap(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctxErr := ended(ctx); ctxErr != nil && !errors.Is(err, ctxErr) {
		err = fmt.Errorf("%w (%w)", ctxErr, err)
	}
	return fmt.Errorf("gormsource: %s: %w", doing, err)
}

// ended returns the context's error. What goes by the deadline itself, as the
// network does, may be a moment ahead of the context.
func ended(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if ok && ctx.Err() == nil && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

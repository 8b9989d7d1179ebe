package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// dialect is what sets the two databases apart. All other SQL is shared: both
// know $1 as a placeholder, as long as the numbers first appear in order.
type dialect struct {
	// migration creates the tables, in one transaction.
	migration []string
	// hasRevision asks whether the table of that name has a column revision.
	hasRevision string
	// oneWriter has the writing transactions of a store wait for each other.
	oneWriter bool
	// transact runs a function in a transaction.
	transact func(ctx context.Context, pool *sql.DB, op operation) error
	// read runs a function on a connection, without one.
	read func(ctx context.Context, pool *sql.DB, op operation) error
	// prepares is true where it is worth while, and safe, to prepare statements: not
	// where a pooler may hand each transaction another session.
	prepares bool
	// lockJob and shareJob come first in every transaction that writes, with the id
	// of the job as argument. From then on nobody else, or nobody else but those
	// who share it, writes anything of the job, and reads see what has been
	// written before. They are empty where a transaction begins with that.
	lockJob, shareJob string
	// forUpdate ends a SELECT that locks the row of the part, named p.
	forUpdate string
	// clock asks the server for its time; empty where there is no server.
	clock string
	// now is an expression: microseconds since 1970, by the clock that all processes
	// share. It is evaluated after the statement has its locks.
	now string
	// skipLocked ends a SELECT that locks rows, and leaves out those that others have.
	skipLocked string
	// isConflict tells errors after which a transaction is tried again.
	isConflict func(error) bool
}

func dialectNamed(name string) (dialect, error) {
	switch name {
	case "sqlite":
		return sqlite(), nil
	case "postgres":
		return postgres(), nil
	}
	return dialect{}, fmt.Errorf("dialect %q is not supported, only sqlite and postgres are", name)
}

// sqlite has one lock for the whole file. A transaction that reads first and
// writes later fails if another has written in between, and waiting does not
// help it; so each begins with the write lock, however the host opened the
// database. Who finds the lock taken polls for it, and may do so for seconds
// while others are luckier: so a store lets its writers in one by one, in order.
func sqlite() dialect {
	return dialect{
		migration:   tables("BINARY"),
		hasRevision: "SELECT EXISTS (SELECT 1 FROM pragma_table_info($1) WHERE name = 'revision')",
		oneWriter:   true,
		transact:    immediately,
		read:        undisturbed,
		prepares:    true,
		now: "((CAST(strftime('%s', 'now') AS integer) * 1000" +
			" + CAST(substr(strftime('%f', 'now'), 4) AS integer)) * 1000)",
		isConflict: isBusy,
	}
}

// postgres has advisory locks, which are granted in order. The shared lock of a
// row is not: new readers get it while a writer waits, and a job that many
// workers report on would never be free for the one who wants to delete it.
// After its lock, a transaction has to see what was committed meanwhile, which
// is what READ COMMITTED means. The key of a lock is a hash of the job's id,
// seeded with the table, since locks are the same in all schemas; two ids with
// one hash only wait for each other.
//
// A process that is frozen in a transaction, or cut off without a word, would
// hold its locks until somebody finds it. So a transaction that pauses, which
// ours do for milliseconds, is ended by the server.
func postgres() dialect {
	const (
		jobKey    = "(hashtextextended($1::text, 'bulkexport_jobs'::regclass::oid::bigint))"
		schemaKey = "(hashtextextended('bulkexport_jobs', 0))"
		begin     = "SELECT set_config('idle_in_transaction_session_timeout', '5s', true), "
	)
	return dialect{
		// CREATE TABLE IF NOT EXISTS by itself fails if two run at once.
		migration: append([]string{"SELECT pg_advisory_xact_lock" + schemaKey}, tables(`"C"`)...),
		hasRevision: `SELECT EXISTS (SELECT 1 FROM pg_attribute
			WHERE attrelid = $1::text::regclass AND attname = 'revision' AND NOT attisdropped)`,
		transact:   readCommitted,
		read:       directly,
		lockJob:    begin + "pg_advisory_xact_lock" + jobKey,
		shareJob:   begin + "pg_advisory_xact_lock_shared" + jobKey,
		forUpdate:  " FOR UPDATE OF p",
		clock:      "SELECT clock_timestamp()",
		now:        "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)",
		skipLocked: " FOR UPDATE SKIP LOCKED",
		isConflict: isSerializationFailure,
	}
}

// tables has columns for what is looked up; doc is the record, revision how often
// it was stored anew. The collation orders ids by their bytes.
func tables(collation string) []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS bulkexport_jobs (
			id         text COLLATE ` + collation + ` NOT NULL PRIMARY KEY,
			tenant     text NOT NULL,
			state      text NOT NULL,
			expires_at bigint, -- microseconds since 1970
			revision   bigint NOT NULL DEFAULT 0,
			doc        text NOT NULL
		)`,
		`CREATE TABLE IF NOT EXISTS bulkexport_parts (
			job_id   text NOT NULL,
			idx      bigint NOT NULL,
			revision bigint NOT NULL DEFAULT 1,
			doc      text NOT NULL,
			PRIMARY KEY (job_id, idx)
		)`,
		`CREATE TABLE IF NOT EXISTS bulkexport_limits (
			key     text COLLATE ` + collation + ` NOT NULL PRIMARY KEY, -- SHA-256
			free_at bigint NOT NULL -- when it owes nothing: microseconds since 1970
		)`,
		`CREATE INDEX IF NOT EXISTS bulkexport_limits_free_at ON bulkexport_limits (free_at)`,
	}
}

// isBusy looks for SQLite's own words, which every driver passes on: the types
// of their errors have nothing in common, and to import one would decide for
// the host which driver it links.
func isBusy(err error) bool {
	text := err.Error()
	return strings.Contains(text, "database is locked") ||
		strings.Contains(text, "table is locked") ||
		strings.Contains(text, "schema is locked")
}

func isSerializationFailure(err error) bool {
	var coded interface{ SQLState() string }
	if !errors.As(err, &coded) {
		return false
	}
	state := coded.SQLState()
	return state == "40001" || state == "40P01" // serialization failure, deadlock
}

package gormsource

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"time"
)

// sqliteNow waits for the writer in flight, if there is one. On a database that
// is opened read-only the statement just begins to read.
func sqliteNow(ctx context.Context, pool *sql.DB, wait time.Duration) (now time.Time, err error) {
	err = withWriteLock(ctx, pool, max(wait, hostPatience), "ROLLBACK", func(*sql.Conn) error {
		now = time.Now()
		return nil
	})
	return now, err
}

// withWriteLock runs fn in a transaction that nobody writes beside, and ends it
// with COMMIT or ROLLBACK.
func withWriteLock(
	ctx context.Context, pool *sql.DB, wait time.Duration, end string, fn func(*sql.Conn) error,
) error {
	return impatiently(ctx, pool, func(conn *sql.Conn) (err error) {
		deadline := time.Now().Add(wait)
		exec := func(sql string) error {
			_, err := conn.ExecContext(context.WithoutCancel(ctx), sql)
			return err
		}
		if err := whileBusy(ctx, deadline, func() error { return exec("BEGIN IMMEDIATE") }); err != nil {
			return err
		}
		defer func() {
			if err != nil && exec("ROLLBACK") != nil {
				discard(conn)
			}
		}()
		if err := fn(conn); err != nil {
			return err
		}
		// With a rollback journal a COMMIT waits for readers, even of nothing.
		return whileBusy(ctx, deadline, func() error { return exec(end) })
	})
}

// sqliteConn runs fn, which reads, and again if it met a lock: that is so before
// the first row. With a rollback journal readers wait for a writer that commits.
func sqliteConn(ctx context.Context, pool *sql.DB, fn func(*sql.Conn) error) error {
	return impatiently(ctx, pool, func(conn *sql.Conn) error {
		return whileBusy(ctx, time.Now().Add(hostPatience), func() error { return fn(conn) })
	})
}

// impatiently runs fn on a connection that does not wait for locks. SQLite's
// drivers do so in a way that no context ends, so that whileBusy has to do it.
func impatiently(ctx context.Context, pool *sql.DB, fn func(*sql.Conn) error) error {
	return onConn(ctx, pool, func(conn *sql.Conn) error {
		var timeout string
		if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&timeout); err != nil {
			return err
		}
		set := func(timeout string) error {
			_, err := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout = "+timeout)
			return err
		}
		defer func() {
			if set(timeout) != nil {
				discard(conn)
			}
		}()
		if err := set("0"); err != nil {
			return err
		}
		return fn(conn)
	})
}

// discard keeps a connection from being used again.
func discard(conn *sql.Conn) { _ = conn.Raw(func(any) error { return driver.ErrBadConn }) }

// whileBusy repeats what fails for a lock.
func whileBusy(ctx context.Context, deadline time.Time, do func() error) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := do()
		if err == nil || !isBusy(err) || !time.Now().Before(deadline) {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// isBusy looks for SQLite's own words, which every driver passes on.
func isBusy(err error) bool {
	text := err.Error()
	return strings.Contains(text, "database is locked") || strings.Contains(text, "table is locked") ||
		strings.Contains(text, "schema is locked")
}

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
//
// SQLite's drivers wait for a lock in a way that no context ends, so here it is
// asked for again and again.
func withWriteLock(
	ctx context.Context, pool *sql.DB, wait time.Duration, end string, fn func(*sql.Conn) error,
) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	var busyTimeout string
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&busyTimeout); err != nil {
		return err
	}
	after := context.WithoutCancel(ctx)
	exec := func(sql string) error {
		_, err := conn.ExecContext(after, sql)
		return err
	}
	begun := false
	defer func() {
		var errRollback error
		if begun {
			errRollback = exec("ROLLBACK")
		}
		if exec("PRAGMA busy_timeout = "+busyTimeout) != nil || errRollback != nil {
			_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // not one to use again
		}
	}()
	if err := exec("PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	deadline := time.Now().Add(wait)
	if err := whileBusy(ctx, deadline, func() error { return exec("BEGIN IMMEDIATE") }); err != nil {
		return err
	}
	begun = true
	if err := fn(conn); err != nil {
		return err
	}
	// With a rollback journal a COMMIT waits for readers, even of nothing.
	err = whileBusy(ctx, deadline, func() error { return exec(end) })
	begun = err != nil
	return err
}

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

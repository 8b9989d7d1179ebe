package gormsource

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport/source/gormsource/internal/sqliterows"
)

// now waits for the writer in flight, if there is one. On a database that
// is opened read-only the statement just begins to read.
func (m *manyRows) now(ctx context.Context, pool *sql.DB, wait time.Duration) (now time.Time, err error) {
	err = m.withWriteLock(ctx, pool, max(wait, hostPatience), "ROLLBACK", func(*sql.Conn) error {
		now = time.Now()
		return nil
	})
	return now, err
}

// withWriteLock runs fn in a transaction that nobody writes beside, and ends it
// with COMMIT or ROLLBACK.
func (m *manyRows) withWriteLock(
	ctx context.Context, pool *sql.DB, wait time.Duration, end string, fn func(*sql.Conn) error,
) error {
	return m.impatiently(ctx, pool, func(conn *sql.Conn) (err error) {
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

// conn runs fn, which reads, and again if it met a lock: that is so before
// the first row. With a rollback journal readers wait for a writer that commits.
func (m *manyRows) conn(ctx context.Context, pool *sql.DB, fn func(*sql.Conn) error) error {
	return m.impatiently(ctx, pool, func(conn *sql.Conn) error {
		return whileBusy(ctx, time.Now().Add(hostPatience), func() error { return fn(conn) })
	})
}

// impatiently runs fn on a connection that does not wait for locks. SQLite's
// drivers do so in a way that no context ends, so that whileBusy has to do it.
func (m *manyRows) impatiently(ctx context.Context, pool *sql.DB, fn func(*sql.Conn) error) error {
	return onConn(ctx, pool, func(conn *sql.Conn) error {
		set := setBusyTimeout
		if m.isSameLibrary(ctx, conn) {
			set = setBusyTimeoutDirectly
		}
		was, err := set(ctx, conn, 0)
		if err != nil {
			return err
		}
		defer func() {
			if _, err := set(context.WithoutCancel(ctx), conn, was); err != nil {
				discard(conn)
			}
		}()
		return fn(conn)
	})
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, ms int) (was int, err error) {
	if err := conn.QueryRowContext(ctx, "PRAGMA busy_timeout").Scan(&was); err != nil {
		return 0, err
	}
	_, err = conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA busy_timeout = "+strconv.Itoa(ms))
	return was, err
}

// setBusyTimeoutDirectly does the same in one call instead of two statements,
// which take longer than many of those that are waited for.
func setBusyTimeoutDirectly(ctx context.Context, conn *sql.Conn, ms int) (was int, err error) {
	err = conn.Raw(func(driverConn any) error {
		if direct, ok := sqliterows.Of(driverConn); ok {
			was = direct.SetBusyTimeout(ms)
			return nil
		}
		return sqliterows.ErrUnsupported
	})
	if errors.Is(err, sqliterows.ErrUnsupported) {
		return setBusyTimeout(ctx, conn, ms)
	}
	return was, err
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

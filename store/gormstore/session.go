package gormstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// session is a connection, or a transaction on one.
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// operation is what is done in a session, with the context that its statements
// have to be given.
type operation func(ctx context.Context, db session) error

// directly runs op on the pool.
func directly(ctx context.Context, pool *sql.DB, op operation) error { return op(ctx, pool) }

// readCommitted runs op in a transaction whose statements see what was committed
// before each of them.
func readCommitted(ctx context.Context, pool *sql.DB, op operation) error {
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after Commit
	if err := op(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// undisturbed runs op on a connection, with statements that no context ends. Ours
// take microseconds, and what they may wait for, the lock of the file, no context
// ends either; but drivers start a goroutine for each statement that has one,
// which costs as much as the statement.
func undisturbed(ctx context.Context, pool *sql.DB, op operation) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // gives it back
	return op(context.WithoutCancel(ctx), conn)
}

// immediately runs op in a transaction that has the write lock from its begin.
func immediately(ctx context.Context, pool *sql.DB, op operation) error {
	return undisturbed(ctx, pool, func(free context.Context, db session) (err error) {
		if _, err := db.ExecContext(free, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		ended := false
		defer func() {
			if !ended {
				rollBack(free, db)
			}
		}()
		if err := op(free, db); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err = db.ExecContext(free, "COMMIT")
		ended = err == nil
		return err
	})
}

// rollBack also runs when op panics. A connection that is not known to be out of
// its transaction must not be used again.
func rollBack(ctx context.Context, db session) {
	if _, err := db.ExecContext(ctx, "ROLLBACK"); err == nil {
		return
	}
	if conn, ok := db.(*sql.Conn); ok {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	}
}

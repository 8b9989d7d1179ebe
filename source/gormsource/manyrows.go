package gormsource

import (
	"context"
	"database/sql"
	"sync/atomic"

	"github.com/bulkexport/bulkexport/source/gormsource/internal/sqliterows"
)

// manyRows has SQLite put rows into a batch without the driver in between. A
// connection of the pool is taken all the same: it is that which reads.
//
// All that is not simply so is left to the driver: what it does not know, what
// fails, and locks, for which conn knows how to wait. So errors are the
// same either way.
type manyRows struct{ sameLibrary atomic.Bool }

// fill returns sqliterows.ErrUnsupported where the driver shall do it.
func (m *manyRows) fill(
	ctx context.Context, pool *sql.DB, text string, args []any, limit int, b *batch,
) error {
	return onConn(ctx, pool, func(conn *sql.Conn) error {
		if !m.isSameLibrary(ctx, conn) {
			return sqliterows.ErrUnsupported
		}
		return conn.Raw(func(driverConn any) error {
			direct, ok := sqliterows.Of(driverConn)
			if !ok {
				return sqliterows.ErrUnsupported
			}
			all, err := direct.Read(ctx, text, args, limit, &b.Batch)
			if err != nil {
				return err
			}
			for _, row := range b.Rows {
				if row.First == 0 {
					return errNoKey
				}
			}
			if !all {
				return errFull
			}
			return nil
		})
	})
}

// isSameLibrary asks the driver's library who it is. A process could have two, if
// the driver came with a plugin.
func (m *manyRows) isSameLibrary(ctx context.Context, conn *sql.Conn) bool {
	switch {
	case m == nil:
		return false
	case m.sameLibrary.Load():
		return true
	case sqliterows.SourceID() == "":
		return false
	}
	var there string
	err := conn.QueryRowContext(ctx, "SELECT sqlite_source_id()").Scan(&there)
	if err != nil || there != sqliterows.SourceID() {
		return false
	}
	m.sameLibrary.Store(true)
	return true
}

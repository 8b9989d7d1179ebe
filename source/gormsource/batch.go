package gormsource

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/bulkexport/bulkexport/source/gormsource/internal/sqliterows"
)

// A stream reads in batches. Each is one statement that goes on after the last
// key, and is copied to memory before the consumer sees the first row of it. So
// while the consumer works, which may be for long, no connection of the pool is
// taken, no snapshot keeps SQLite from checkpoints or PostgreSQL from vacuum,
// no writer waits, and nothing is left to free when the consumer stops.
//
// As measured on both databases, this costs up to a tenth more than a single
// statement over all rows that is consumed as it runs. With smaller batches it is
// more, on PostgreSQL above all, which plans each one anew. With 4 MiB a whole
// export would take a fortieth less, and memory for it.
const (
	firstBatch = 64 // rows
	batchBytes = 2 << 20
	// batchMaxBytes ends a batch whose rows are larger than those before.
	batchMaxBytes = 8 << 20
)

// nextBatch returns how many rows to ask for after so many of that size.
func nextBatch(rows, size int) int {
	return max(1, min(4*rows, rows*batchBytes/max(size, 1)))
}

// fill reads rows into the batch until there are no more, or it is full. There
// are not more than limit.
func (db session) fill(ctx context.Context, text string, args []any, limit int, b *batch) error {
	if db.dialect.manyRows != nil {
		err := db.dialect.manyRows.fill(ctx, db.pool, text, args, limit, b)
		if !errors.Is(err, sqliterows.ErrUnsupported) {
			return err
		}
	}
	text, args = db.guarded(text, args)
	// Without the cancel PostgreSQL would send the rest of a batch that is full.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return db.withConn(ctx, func(conn *sql.Conn) error {
		b.Bytes, b.Rows = b.Bytes[:0], b.Rows[:0] // it may be called again
		return eachRow(ctx, conn, text, args, func(key, body []byte) error {
			if err := b.add(key, body); err != nil {
				cancel()
				return err
			}
			return nil
		})
	})
}

// batch is a number of rows of a key and a body.
type batch struct {
	sqliterows.Batch
	last bool // nothing comes after it
}

var (
	errFull    = errors.New("batch is full")
	errNoKey   = errors.New("a row has no key")
	errStopped = errors.New("consumer has stopped")
)

func (b *batch) add(key, body []byte) error {
	if len(key) == 0 {
		return errNoKey
	}
	b.Bytes = append(append(b.Bytes, key...), body...)
	b.Rows = append(b.Rows, sqliterows.Row{First: int32(len(key)), Second: int32(len(body))})
	if len(b.Bytes) >= batchMaxBytes {
		return errFull
	}
	return nil
}

// each goes through the rows until fn returns an error or the context ends.
func (b *batch) each(ctx context.Context, fn func(key, body []byte) error) error {
	rest := b.Bytes
	for _, r := range b.Rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		key := int(r.First)
		end := key + int(r.Second)
		if err := fn(rest[:key:key], rest[key:end:end]); err != nil {
			return err
		}
		rest = rest[end:]
	}
	return nil
}

// lastKey returns a copy.
func (b *batch) lastKey() []byte {
	last := b.Rows[len(b.Rows)-1]
	end := len(b.Bytes) - int(last.Second)
	return bytes.Clone(b.Bytes[end-int(last.First) : end])
}

package gormsource

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
)

// A stream reads in batches, each one statement that goes on after the last
// key. As measured on both databases a batch of a thousand rows or more costs
// no more per row than a single statement over all of them, and it keeps three
// things short: the read transaction, which on SQLite holds back checkpoints
// and on PostgreSQL vacuum; the rest of a result that PostgreSQL sends before a
// stream can end early; and the time that the pool is without the connection.
// Hence a batch aims at no more than batchBytes and batchTime, whatever the
// size of resources and the pace of the consumer.
const (
	batchBytes = 8 << 20
	batchTime  = time.Second

	minBatch   = 16
	firstBatch = 512
	maxBatch   = 16384
)

// nextBatch returns how many rows to ask for after a batch of limit rows.
func nextBatch(limit int, size int64, took time.Duration) int {
	switch {
	case size > batchBytes || took > batchTime:
		return max(limit/2, minBatch)
	case size < batchBytes/4 && took < batchTime/4:
		return min(limit*2, maxBatch)
	}
	return limit
}

// selection is what a query means for one table.
type selection struct {
	table        string
	key, body    clause.Column
	integerKey   bool
	resourceType string
	conditions   []clause.Expression
	after, upTo  []byte
	// keep, if not nil, decides by the body which rows are selected.
	keep func(body []byte) bool
}

func column(name string) clause.Column {
	return clause.Column{Table: clause.CurrentTable, Name: name}
}

var errKey = errors.New("malformed key")

// argument turns a key, which is the text of the key column, into what the
// database compares with.
func (s *selection) argument(key []byte) (any, error) {
	if !s.integerKey {
		return string(key), nil
	}
	n, err := strconv.ParseInt(string(key), 10, 64)
	if err != nil {
		return nil, errKey
	}
	return n, nil
}

// query selects the rows of the key range. Its columns are still to be chosen.
func (s *selection) query(ctx context.Context, db *gorm.DB) (*gorm.DB, error) {
	where := slices.Clone(s.conditions)
	if s.after != nil {
		after, err := s.argument(s.after)
		if err != nil {
			return nil, err
		}
		where = append(where, clause.Gt{Column: s.key, Value: after})
	}
	if s.upTo != nil {
		upTo, err := s.argument(s.upTo)
		if err != nil {
			return nil, err
		}
		where = append(where, clause.Lte{Column: s.key, Value: upTo})
	}
	query := db.WithContext(ctx).Table(s.table)
	if len(where) > 0 {
		query = query.Clauses(clause.Where{Exprs: where})
	}
	return query, nil
}

func (s *selection) inKeyOrder(query *gorm.DB, columns ...clause.Column) *gorm.DB {
	return query.Clauses(clause.Select{Columns: columns},
		clause.OrderBy{Columns: []clause.OrderByColumn{{Column: s.key}}})
}

// stream yields the selected rows in key order.
func (db session) stream(ctx context.Context, s selection, yield func(bulkexport.Resource, error) bool) {
	r := batchReader{session: db, selection: s, yield: yield}
	for limit := firstBatch; ; {
		started := time.Now()
		err := r.read(ctx, limit)
		switch {
		case r.stopped:
			return
		case err != nil:
			yield(bulkexport.Resource{}, wrap(ctx, "read "+s.resourceType, err))
			return
		case r.rows < limit:
			return
		}
		limit = nextBatch(limit, r.size, time.Since(started))
	}
}

// batchReader yields one batch after the other.
type batchReader struct {
	session
	selection
	yield   func(bulkexport.Resource, error) bool
	stopped bool // by the consumer

	// Of the batch that is being read:
	rows int
	size int64
	last []byte
}

// read yields the rows of one batch and moves on to its end.
func (r *batchReader) read(ctx context.Context, limit int) error {
	query, err := r.query(ctx, r.gorm)
	if err != nil {
		return err
	}
	text, args, err := statement(r.inKeyOrder(query, r.key, r.body).Limit(limit))
	if err != nil {
		return err
	}
	r.rows, r.size = 0, 0
	if err := eachRow(ctx, r.pool, text, args, r.row); err != nil {
		return err
	}
	r.after = r.last
	return nil
}

var errNoKey = errors.New("a row has no key")

// row hands a row to the consumer. Both slices are lent by the driver.
func (r *batchReader) row(key, body []byte) error {
	if len(key) == 0 {
		return errNoKey
	}
	r.rows++
	r.size += int64(len(body))
	r.last = append(r.last[:0], key...)
	switch {
	case len(body) == 0:
		fault := &bulkexport.ResourceError{Type: r.resourceType, Reason: "the stored resource is empty"}
		r.stopped = !r.yield(bulkexport.Resource{Key: key}, fault)
	case r.keep == nil || r.keep(body):
		r.stopped = !r.yield(bulkexport.Resource{Key: key, JSON: body}, nil)
	}
	if r.stopped {
		return errStopped
	}
	return nil
}

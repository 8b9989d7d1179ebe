package gormsource

import (
	"context"
	"errors"
	"math/bits"
	"slices"
	"strconv"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
)

// selection is what a query means for one table.
type selection struct {
	table        string
	hint         string // follows the table's name
	key, body    clause.Column
	integerKey   bool
	resourceType string
	conditions   []clause.Expression
	after, upTo  []byte
	// keep, if not nil, decides by the body which rows are selected.
	keep func(ctx context.Context, body []byte) (bool, error)
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
	if s.hint != "" {
		query = query.Clauses(clause.From{Tables: []clause.Table{{Name: s.table + s.hint, Raw: true}}})
	}
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
	r := reader{session: db, selection: s}
	for limit := firstBatch; ; limit = nextBatch(len(r.Rows), len(r.Bytes)) {
		err := r.next(ctx, limit)
		if err == nil {
			err = r.each(ctx, func(key, body []byte) error { return s.yield(ctx, key, body, yield) })
		}
		switch {
		case errors.Is(err, errStopped):
			return
		case err != nil:
			yield(bulkexport.Resource{}, wrap(ctx, "read "+s.resourceType, err))
			return
		case r.last:
			return
		}
	}
}

// yield hands a row to the consumer, unless it is not to be kept.
func (s *selection) yield(
	ctx context.Context, key, body []byte, yield func(bulkexport.Resource, error) bool,
) error {
	if len(body) == 0 {
		fault := &bulkexport.ResourceError{Type: s.resourceType, Reason: "the stored resource is empty"}
		return stoppedUnless(yield(bulkexport.Resource{Key: key}, fault))
	}
	if s.keep != nil {
		if keep, err := s.keep(ctx, body); err != nil || !keep {
			return err
		}
	}
	return stoppedUnless(yield(bulkexport.Resource{Key: key, JSON: body}, nil))
}

func stoppedUnless(goOn bool) error {
	if goOn {
		return nil
	}
	return errStopped
}

// reader reads a selection batch by batch.
type reader struct {
	session
	selection
	batch

	// The statement, and the place of the key to go on after among its arguments,
	// or -1.
	text  string
	args  []any
	place int
	limit int
}

// next fills the batch with the next rows, but for what is beyond its bounds.
func (r *reader) next(ctx context.Context, limit int) error {
	if len(r.Rows) > 0 {
		r.after = r.lastKey()
	}
	limit = roundDown(limit)
	if err := r.prepare(ctx, limit); err != nil {
		return err
	}
	err := r.fill(ctx, r.text, r.args, limit, &r.batch)
	r.last = err == nil && len(r.Rows) < limit
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// roundDown makes batches of rows that are much alike equally large.
func roundDown(limit int) int {
	rest := max(0, bits.Len(uint(limit))-4)
	return limit >> rest << rest
}

// prepare has gorm build the statement, unless it is that of the last batch with
// another key. Building it takes as long as reading some fifty rows.
func (r *reader) prepare(ctx context.Context, limit int) (err error) {
	if r.text == "" || r.limit != limit || r.place < 0 && r.after != nil {
		if err := r.build(ctx, limit); err != nil {
			return err
		}
	}
	if r.place >= 0 {
		r.args[r.place], err = r.argument(r.after)
	}
	return err
}

func (r *reader) build(ctx context.Context, limit int) error {
	s, marker := r.selection, new(int)
	if s.after != nil {
		s.after, s.conditions = nil, append(slices.Clone(s.conditions), clause.Gt{Column: s.key, Value: marker})
	}
	query, err := s.query(ctx, r.gorm)
	if err != nil {
		return err
	}
	r.text, r.args, err = statement(s.inKeyOrder(query, s.key, s.body).Limit(limit))
	r.place, r.limit = slices.Index(r.args, any(marker)), limit
	return err
}

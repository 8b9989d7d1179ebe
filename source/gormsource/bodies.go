package gormsource

import (
	"bytes"
	"context"
	"errors"
	"strconv"
)

// place is where a version is kept.
type place struct {
	resourceType string
	seq          int64
}

// bodies reads one column of versions of which the places are known, batch by
// batch like a stream.
type bodies struct {
	*Repository
	tenant string
	column string
	limit  int
	batch  batch
	// text is the statement, the same for all lists of places.
	text string
	// Memory to use again.
	types, seqs, key []byte
}

func (r *Repository) bodies(tenant, column string) *bodies {
	return &bodies{Repository: r, tenant: tenant, column: column, limit: firstBatch}
}

var errMissing = errors.New("a version is not where it was")

// each calls fn with the number and the body of each of n places, in order,
// until it returns an error.
func (b *bodies) each(
	ctx context.Context, n int, at func(i int) place, fn func(i int, body []byte) error,
) error {
	for done := 0; done < n; done += len(b.batch.Rows) {
		if err := b.readPlaces(ctx, done, min(done+b.limit, n), at); err != nil {
			return err
		}
		i := done
		err := b.batch.each(ctx, func(key, body []byte) error {
			// Nothing sorts the rows, since the loops keep the order of the list.
			b.key = strconv.AppendInt(b.key[:0], int64(i-done), 10)
			if !bytes.Equal(key, b.key) {
				return errMissing
			}
			i++
			return fn(i-1, body)
		})
		if err != nil {
			return err
		}
		b.limit = nextBatch(len(b.batch.Rows), len(b.batch.Bytes))
	}
	return nil
}

func (b *bodies) readPlaces(ctx context.Context, from, to int, at func(i int) place) error {
	b.types, b.seqs = b.types[:0], b.seqs[:0]
	for i := from; i < to; i++ {
		p := at(i)
		b.types = append(append(b.types, `,"`...), p.resourceType...)
		b.types = append(b.types, '"')
		b.seqs = strconv.AppendInt(append(b.seqs, ','), p.seq, 10)
	}
	args, err := b.prepare(ctx)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, b.text, args, to-from, &b.batch); err != nil && !errors.Is(err, errFull) {
		return err
	}
	if len(b.batch.Rows) == 0 {
		return errMissing
	}
	return nil
}

// prepare returns the arguments for the places.
func (b *bodies) prepare(ctx context.Context) ([]any, error) {
	list := func(items []byte) string { return b.dialect.brackets[:1] + string(items[1:]) + b.dialect.brackets[1:] }
	query, args := b.dialect.places(b.dialect, b.tenant, list(b.types), list(b.seqs)).selecting("m.key, r." + b.column)
	if b.text != "" {
		return args, nil
	}
	text, args, err := statement(b.gorm.WithContext(ctx).Raw(query, args...))
	b.text = text
	return args, err
}

package gormsource

import (
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
	for done := 0; done < n; done += len(b.batch.rows) {
		if err := b.readPlaces(ctx, done, min(done+b.limit, n), at); err != nil {
			return err
		}
		i := done
		err := b.batch.each(ctx, func(key, body []byte) error {
			// Nothing sorts the rows, since the loops keep the order of the list.
			if string(key) != strconv.Itoa(i-done) {
				return errMissing
			}
			i++
			return fn(i-1, body)
		})
		if err != nil {
			return err
		}
		b.limit = nextBatch(len(b.batch.rows), len(b.batch.bytes))
	}
	return nil
}

func (b *bodies) readPlaces(ctx context.Context, from, to int, at func(i int) place) error {
	types, seqs := make([]string, 0, to-from), make([]string, 0, to-from)
	for i := from; i < to; i++ {
		p := at(i)
		types = append(types, p.resourceType)
		seqs = append(seqs, strconv.FormatInt(p.seq, 10))
	}
	query, args := b.dialect.places(b.dialect, b.tenant, types, seqs).selecting("m.key, r." + b.column)
	text, args, err := statement(b.gorm.WithContext(ctx).Raw(query, args...))
	if err != nil {
		return err
	}
	if err := b.fill(ctx, text, args, &b.batch); err != nil && !errors.Is(err, errFull) {
		return err
	}
	if len(b.batch.rows) == 0 {
		return errMissing
	}
	return nil
}

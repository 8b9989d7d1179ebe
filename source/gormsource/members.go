package gormsource

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"

	"github.com/bulkexport/bulkexport"
)

// What a limited population has is found by way of its patients, at a cost in
// proportion to what they have, however much the database holds.
//
// A window of keys is read at a time: the places that all patients have within
// it are collected, in order, and then what is there. A window is as wide as to
// have as many places as there are patients, so that looking for those who have
// none in it does not add up to more than the places. The memory is that of the
// places of a window, and so about that of the list of patients.
const (
	windowPlaces = 1 << 16
	// Whatever its range, a window of Provenance goes through all that the
	// patients have, since any of it may be a target. So there are few.
	provenancePlaces = 1 << 20
)

// streamOf yields what the patients have, in key order, with a column for JSON.
func (r *Repository) streamOf(
	ctx context.Context, v *view, column string, yield func(bulkexport.Resource, error) bool,
) {
	var key []byte
	bodies := r.bodies(v.Tenant, column)
	err := r.eachWindow(ctx, v, func(seqs []int64) error {
		at := func(i int) place { return place{v.Type, seqs[i]} }
		return bodies.each(ctx, len(seqs), at, func(i int, body []byte) error {
			key = strconv.AppendInt(key[:0], seqs[i], 10)
			return stoppedUnless(yield(bulkexport.Resource{Key: key, JSON: body}, nil))
		})
	})
	if err != nil && !errors.Is(err, errStopped) {
		yield(bulkexport.Resource{}, wrap(ctx, "read "+v.Type, err))
	}
}

func (r *Repository) countOf(ctx context.Context, v *view) (n int64, err error) {
	err = r.eachWindow(ctx, v, func(seqs []int64) error {
		n += int64(len(seqs))
		return nil
	})
	return n, err
}

// splitOf cuts after every size places that others follow.
func (r *Repository) splitOf(ctx context.Context, v *view, size int64) ([][]byte, error) {
	var cuts [][]byte
	var n, last int64
	err := r.eachWindow(ctx, v, func(seqs []int64) error {
		for _, seq := range seqs {
			if n > 0 && n%size == 0 {
				cuts = append(cuts, strconv.AppendInt(nil, last, 10))
			}
			n++
			last = seq
		}
		return nil
	})
	return cuts, err
}

// window is a range of keys: after one, up to the other. Not more than limit
// places of it are collected.
type window struct {
	after, upTo int64
	limit       int
}

// eachWindow calls fn with the places that the view selects, in ascending order
// and each once. The slice is used again.
func (r *Repository) eachWindow(ctx context.Context, v *view, fn func(seqs []int64) error) error {
	after, upTo, err := v.keyRange()
	if err != nil || len(v.patients) == 0 {
		return err
	}
	if v.Level == bulkexport.LevelGroup && v.Type == groupType {
		return r.ownGroup(ctx, v, window{after: after, upTo: upTo}, fn)
	}
	last, err := r.lastPlace(ctx, v)
	if err != nil {
		return err
	}
	upTo = min(upTo, last)
	w, span := r.firstWindow(v, after, upTo)
	seqs := make([]int64, 0, len(v.patients)) // about what a window has
	for w.after < upTo {
		w.upTo = w.after + min(span, upTo-w.after)
		if seqs, err = r.collect(ctx, v, w, seqs[:0]); err != nil {
			return err
		}
		n := len(seqs)
		if n == w.limit { // perhaps there are more
			w.upTo = seqs[n-1]
		}
		if n > 0 {
			if err := fn(slices.Compact(seqs)); err != nil {
				return err
			}
		}
		span = w.next(n)
		w.after = w.upTo
	}
	return nil
}

// firstWindow guesses that few patients have little.
func (r *Repository) firstWindow(v *view, after, upTo int64) (w window, span int64) {
	w = window{after: after, limit: max(r.windowPlaces, 2*len(v.patients))}
	parts := 1 + len(v.patients)/1024
	if v.Type == provenanceType {
		w.limit, parts = max(r.provenancePlaces, w.limit), 1
	}
	return w, max((upTo-after)/int64(parts), 1)
}

// next returns the width for half as many places as there may be, after a
// window with n.
func (w window) next(n int) int64 {
	factor := min(16, float64(w.limit/2)/float64(max(n, 1)))
	return max(1, int64(float64(w.upTo-w.after)*factor))
}

// ownGroup calls fn with the place of the Group whose level it is.
func (r *Repository) ownGroup(ctx context.Context, v *view, w window, fn func(seqs []int64) error) error {
	found, err := r.find(ctx, v, []string{v.Group})
	if err != nil || len(found) == 0 || found[0].seq <= w.after || found[0].seq > w.upTo {
		return err
	}
	return fn([]int64{found[0].seq})
}

// lastPlace returns 0 if there is none.
func (r *Repository) lastPlace(ctx context.Context, v *view) (last int64, err error) {
	const query = `SELECT seq FROM bulkexport_resources WHERE tenant = ? AND type = ? ORDER BY seq DESC LIMIT 1`
	err = r.eachOf(ctx, query, []any{v.Tenant, v.Type}, func(rows *sql.Rows) error { return rows.Scan(&last) })
	return last, err
}

// collect appends the places within a window, in order. One that several
// patients share may come as many times.
func (r *Repository) collect(ctx context.Context, v *view, w window, seqs []int64) ([]int64, error) {
	query, args := r.ties(v, v.patients, []string{v.Type}, w).selecting("c.seq")
	if v.Type == provenanceType {
		more, moreArgs := r.targeted(v, v.patients, w).selecting("t.seq")
		query, args = query+" UNION "+more, append(args, moreArgs...)
	}
	query, args = query+" ORDER BY 1 LIMIT ?", append(args, w.limit)
	err := r.eachOf(ctx, query, args, func(rows *sql.Rows) error {
		var seq int64
		err := rows.Scan(&seq)
		seqs = append(seqs, seq)
		return err
	})
	return seqs, err
}

// ties goes through what is in the compartments of patients, as c.
func (r *Repository) ties(v *view, patients, types []string, w window) *nested {
	selected, args := v.selected("r")
	return r.dialect.over(patients).
		inside(compartmentTable, "c",
			"c.tenant = ? AND c.patient = m.value AND c.type IN ? AND c.seq > ? AND c.seq <= ?",
			v.Tenant, types, w.after, w.upTo).
		placed("r", "r.type = c.type AND r.seq = c.seq AND "+selected, v.Tenant, args...)
}

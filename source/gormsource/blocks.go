package gormsource

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/bulkexport/bulkexport"
)

// OrganizesBy implements [bulkexport.SourceOrganizer]: by Patient only.
func (r *Repository) OrganizesBy(resourceType string) bool { return resourceType == patientType }

// Blocks implements [bulkexport.SourceOrganizer]. Resources of one type are in
// the order of the writes.
//
// Some patients are looked at together: the places of all that they have are
// collected and sorted, about 16,000 or those of a single patient, and then
// what is there is read.
func (r *Repository) Blocks(
	ctx context.Context, q bulkexport.Query, types []string,
) iter.Seq2[bulkexport.BlockResource, error] {
	return func(yield func(bulkexport.BlockResource, error) bool) {
		err := r.organize(ctx, q, types, yield)
		if err != nil && !errors.Is(err, errStopped) {
			yield(bulkexport.BlockResource{}, wrap(ctx, "read by "+q.Type, err))
		}
	}
}

const (
	firstOwners = 16
	// placeSize makes a batch of some 16,000 places.
	placeSize = batchBytes >> 14
)

func (r *Repository) organize(
	ctx context.Context, q bulkexport.Query, types []string, yield func(bulkexport.BlockResource, error) bool,
) error {
	if !r.OrganizesBy(q.Type) {
		return fmt.Errorf("blocks of type %q are not supported", q.Type)
	}
	r, v, err := r.view(ctx, q)
	if err != nil {
		return err
	}
	next, err := r.owners(ctx, &v)
	if err != nil {
		return err
	}
	o := organizer{bodies: r.bodies(v.Tenant, "body"), view: v, types: types, yield: yield}
	if v.Level == bulkexport.LevelGroup {
		own := func(seqs []int64) error { o.group = seqs[0]; return nil }
		v.Type = groupType
		if err := r.ownGroup(ctx, &v, window{upTo: math.MaxInt64}, own); err != nil {
			return err
		}
	}
	for limit := firstOwners; ; limit = nextBatch(len(o.owners), placeSize*(len(o.owners)+len(o.ties))) {
		if o.owners, err = next(limit); err != nil || len(o.owners) == 0 {
			return err
		}
		if err := o.collect(ctx); err != nil {
			return err
		}
		if err := o.write(ctx); err != nil {
			return err
		}
	}
}

// owner is a patient who may have a block.
type owner struct {
	id  string
	seq int64
}

// owners returns a function that returns the next so many, in key order. Those
// of a limited population are found at once.
func (r *Repository) owners(ctx context.Context, v *view) (func(limit int) ([]owner, error), error) {
	q := bulkexport.Query{
		Scope: bulkexport.Scope{Tenant: v.Tenant, Level: bulkexport.LevelSystem},
		Type:  patientType, After: v.After, UpTo: v.UpTo,
	}
	all := viewAt(q, v.asOf)
	if !v.limited {
		return r.ownersInOrder(ctx, &all), nil
	}
	after, upTo, err := v.keyRange()
	if err != nil {
		return nil, err
	}
	found, err := r.find(ctx, &all, v.patients)
	owners := make([]owner, 0, len(found))
	for _, f := range found {
		if f.seq > after && f.seq <= upTo {
			owners = append(owners, owner{f.id, f.seq})
		}
	}
	slices.SortFunc(owners, func(a, b owner) int { return cmp.Compare(a.seq, b.seq) })
	return func(limit int) ([]owner, error) {
		next := owners[:min(limit, len(owners))]
		owners = owners[len(next):]
		return next, nil
	}, err
}

func (r *Repository) ownersInOrder(ctx context.Context, v *view) func(limit int) ([]owner, error) {
	ids := reader{session: r.session, selection: r.selection(v)}
	ids.body = column("id")
	var owners []owner
	return func(limit int) ([]owner, error) {
		owners = owners[:0]
		if err := ids.next(ctx, limit); err != nil {
			return nil, err
		}
		err := ids.each(ctx, func(key, id []byte) error {
			seq, err := parseKey(key)
			owners = append(owners, owner{string(id), seq})
			return err
		})
		return owners, err
	}
}

// organizer writes the blocks of a few owners at a time.
type organizer struct {
	*bodies
	view  view
	types []string
	yield func(bulkexport.BlockResource, error) bool
	// group is the place of the Group whose level it is, if it is selected.
	group  int64
	owners []owner
	ties   []tie
}

// tie says that a version belongs to the block of an owner.
type tie struct {
	owner int
	// rank is that of the type, from 1 on; 0 is the owner itself.
	rank int
	seq  int64
}

func (t tie) compare(other tie) int {
	return cmp.Or(cmp.Compare(t.owner, other.owner), cmp.Compare(t.rank, other.rank), cmp.Compare(t.seq, other.seq))
}

// collect finds what belongs to the owners.
func (o *organizer) collect(ctx context.Context) error {
	ids := make([]string, len(o.owners))
	for i, owner := range o.owners {
		ids[i] = owner.id
	}
	o.ties = o.ties[:0]
	everywhere := window{upTo: math.MaxInt64}
	query, args := o.Repository.ties(&o.view, ids, o.types, everywhere).selecting("m.key, c.type, c.seq")
	if err := o.add(ctx, query, args); err != nil {
		return err
	}
	if slices.Contains(o.types, provenanceType) {
		query, args = o.targeted(&o.view, ids, everywhere).selecting("DISTINCT m.key, p.type, p.seq")
		if err := o.add(ctx, query, args); err != nil {
			return err
		}
	}
	slices.SortFunc(o.ties, tie.compare)
	o.ties = slices.Compact(o.ties)
	return nil
}

func (o *organizer) add(ctx context.Context, query string, args []any) error {
	return o.eachOf(ctx, query, args, func(rows *sql.Rows) error {
		var t tie
		var resourceType sql.RawBytes
		if err := rows.Scan(&t.owner, &resourceType, &t.seq); err != nil {
			return err
		}
		t.rank = 1 + slices.Index(o.types, string(resourceType))
		switch string(resourceType) {
		case patientType:
			if t.seq == o.owners[t.owner].seq {
				t.rank = 0
			}
		case groupType:
			if o.view.Level == bulkexport.LevelGroup && t.seq != o.group {
				return nil
			}
		}
		o.ties = append(o.ties, t)
		return nil
	})
}

// write yields the blocks.
func (o *organizer) write(ctx context.Context) error {
	at := func(i int) place { return place{o.typeOf(o.ties[i]), o.ties[i].seq} }
	var key []byte
	return o.each(ctx, len(o.ties), at, func(i int, body []byte) error {
		owner := o.owners[o.ties[i].owner]
		key = strconv.AppendInt(key[:0], owner.seq, 10)
		return stoppedUnless(o.yield(bulkexport.BlockResource{
			Resource: bulkexport.Resource{Key: key, JSON: body},
			Type:     o.typeOf(o.ties[i]),
			Owner:    owner.id,
		}, nil))
	})
}

func (o *organizer) typeOf(t tie) string {
	if t.rank == 0 {
		return patientType
	}
	return o.types[t.rank-1]
}

package gormsource

import (
	"context"
	"database/sql"
	"errors"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// lookupIDs is how many ids are looked up by one statement.
const lookupIDs = 1000

// Lookup implements [bulkexport.SourceLookup].
func (r *Repository) Lookup(
	ctx context.Context, q bulkexport.Query, ids []string,
) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		q.After, q.UpTo = nil, nil
		r, v, err := r.view(ctx, q)
		if err == nil {
			l := lookup{bodies: r.bodies(v.Tenant, "body"), view: v, inScope: v.inScope()}
			err = l.stream(ctx, ids, yield)
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(bulkexport.Resource{}, wrap(ctx, "look up "+q.Type, err))
		}
	}
}

type lookup struct {
	*bodies
	view view
	// inScope tells by its patients, with blanks between, whether a version is in
	// the scope.
	inScope func(patients string) bool
}

func (l *lookup) stream(ctx context.Context, ids []string, yield func(bulkexport.Resource, error) bool) error {
	var key []byte
	ids = slices.Clone(ids)
	slices.Sort(ids)
	for chunk := range slices.Chunk(slices.Compact(ids), lookupIDs) {
		found, err := l.find(ctx, &l.view, chunk)
		if err != nil {
			return err
		}
		if found, err = l.keep(ctx, found); err != nil {
			return err
		}
		at := func(i int) place { return place{l.view.Type, found[i].seq} }
		err = l.each(ctx, len(found), at, func(i int, body []byte) error {
			key = strconv.AppendInt(key[:0], found[i].seq, 10)
			return stoppedUnless(yield(bulkexport.Resource{Key: key, JSON: body}, nil))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keep returns those of the findings that are in the scope.
func (l *lookup) keep(ctx context.Context, found []finding) ([]finding, error) {
	if l.view.Level == bulkexport.LevelGroup && l.view.Type == groupType {
		return slices.DeleteFunc(found, func(f finding) bool {
			return f.id != l.view.Group || len(l.view.patients) == 0
		}), nil
	}
	var targeted map[int64]bool
	if l.view.Type == provenanceType && l.view.Level != bulkexport.LevelSystem {
		var err error
		if targeted, err = l.targeted(ctx, found); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(found, func(f finding) bool {
		return !targeted[f.seq] && !l.inScope(f.patients)
	}), nil
}

// targeted tells which Provenance has a target in the scope.
func (l *lookup) targeted(ctx context.Context, found []finding) (map[int64]bool, error) {
	seqs := make([]string, len(found))
	for i, f := range found {
		seqs[i] = strconv.FormatInt(f.seq, 10)
	}
	query, args := l.targetsOf(&l.view, seqs).selecting("t.seq, x.patients")
	in := make(map[int64]bool)
	err := l.eachOf(ctx, query, args, func(rows *sql.Rows) error {
		var seq int64
		var patients string
		err := rows.Scan(&seq, &patients)
		in[seq] = in[seq] || l.inScope(patients)
		return err
	})
	return in, err
}

func (v *view) inScope() func(patients string) bool {
	switch {
	case v.Level == bulkexport.LevelSystem:
		return func(string) bool { return true }
	case !v.limited:
		return func(patients string) bool { return patients != "" }
	}
	set := setOf(v.patients)
	return func(patients string) bool {
		for id := range strings.FieldsSeq(patients) {
			if set[id] {
				return true
			}
		}
		return false
	}
}

// finding is a version that was looked for by its id.
type finding struct {
	id       string
	seq      int64
	patients string
}

// find looks for resources by their ids. It asks for all that the view does but
// the population.
func (r *Repository) find(ctx context.Context, v *view, ids []string) ([]finding, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !fhir.ValidID(id) })
	query, args := r.named(v, ids).selecting("m.value, r.seq, r.patients")
	var found []finding
	err := r.eachOf(ctx, query, args, func(rows *sql.Rows) error {
		var f finding
		err := rows.Scan(&f.id, &f.seq, &f.patients)
		found = append(found, f)
		return err
	})
	return found, err
}

// named goes through the versions with ids, as r.
func (r *Repository) named(v *view, ids []string) *nested {
	selected, args := v.selected("r")
	return r.dialect.over(ids).
		named("r", "r.type = ? AND r.id = m.value AND "+selected, v.Tenant, append([]any{v.Type}, args...)...)
}

package memsource

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sort"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Types implements [bulkexport.ResourceSource]. The names are sorted; a type
// whose resources were all deleted is still among them.
func (s *Source) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	if err := check(ctx, scope); err != nil {
		return nil, fmt.Errorf("memsource: types: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := []string{}
	if t := s.tenants[scope.Tenant]; t != nil {
		for name, versions := range t.types {
			if slices.ContainsFunc(versions, func(v *version) bool { return v.in(scope) }) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names, nil
}

// Resources implements [bulkexport.ResourceSource]. Keys follow the order in
// which resources were put. A stream reads the state at its beginning and holds
// no lock while it runs.
func (s *Source) Resources(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		if err := check(ctx, q.Scope); err != nil {
			yield(bulkexport.Resource{}, fmt.Errorf("memsource: resources: %w", err))
			return
		}
		for _, v := range s.selected(q) {
			if err := ctx.Err(); err != nil {
				yield(bulkexport.Resource{}, fmt.Errorf("memsource: resources: %w", err))
				return
			}
			if !yield(bulkexport.Resource{Key: v.key, JSON: v.json}, nil) {
				return
			}
		}
	}
}

// TransactionTime implements [bulkexport.SourceClock]: now, in whole
// milliseconds. What is put later, even within the same millisecond, is stamped
// later.
func (s *Source) TransactionTime(ctx context.Context, _ string) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("memsource: transaction time: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clock.transactionTime(s.now()), nil
}

// Count implements [bulkexport.SourceCounter]. It is exact.
func (s *Source) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	if err := check(ctx, q.Scope); err != nil {
		return 0, fmt.Errorf("memsource: count: %w", err)
	}
	return int64(len(s.selected(q))), nil
}

// Split implements [bulkexport.SourceSplitter]. All ranges but the last select
// exactly size resources.
func (s *Source) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	if err := check(ctx, q.Scope); err != nil {
		return nil, fmt.Errorf("memsource: split: %w", err)
	}
	var cuts [][]byte
	versions := s.selected(q)
	for size > 0 && int64(len(versions)) > size {
		cuts = append(cuts, bytes.Clone(versions[size-1].key))
		versions = versions[size:]
	}
	return cuts, nil
}

// Consistency implements [bulkexport.SourceConsistency].
func (s *Source) Consistency() bulkexport.Consistency { return bulkexport.Snapshot }

func check(ctx context.Context, scope bulkexport.Scope) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch scope.Level {
	case bulkexport.LevelSystem, bulkexport.LevelPatient:
		return nil
	}
	return fmt.Errorf("export level %q is not supported", scope.Level)
}

// selected returns what the query selects now, in order.
func (s *Source) selected(q bulkexport.Query) []*version {
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.tenants[q.Tenant]
	if t == nil {
		return nil
	}
	versions := t.types[q.Type]
	first := sort.Search(len(versions), func(i int) bool {
		return bytes.Compare(versions[i].key, q.After) > 0
	})
	var found []*version
	for _, v := range versions[first:] {
		if q.UpTo != nil && bytes.Compare(v.key, q.UpTo) > 0 {
			break
		}
		if v.in(q.Scope) && v.at(q) {
			found = append(found, v)
		}
	}
	return found
}

func (v *version) in(scope bulkexport.Scope) bool {
	return v.patient || scope.Level == bulkexport.LevelSystem
}

// at reports whether the version was current at q.AsOf and updated in the time
// that the query selects.
func (v *version) at(q bulkexport.Query) bool {
	if q.AsOf.IsZero() {
		if !v.superseded.IsZero() {
			return false
		}
	} else if v.updated.After(q.AsOf) || !v.superseded.IsZero() && !v.superseded.After(q.AsOf) {
		return false
	}
	return v.updated.After(q.Since) && (q.Until.IsZero() || v.updated.Before(q.Until))
}

package memsource

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Types implements [bulkexport.ResourceSource]. The names are sorted; a type
// whose resources were all deleted is still among them. Below the system level
// they are those of any patient.
func (s *Source) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	if err := check(ctx, scope); err != nil {
		return nil, fmt.Errorf("memsource: types: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := []string{}
	for name, versions := range s.tenant(scope.Tenant).types {
		if slices.ContainsFunc(versions, func(v *version) bool { return v.maybeIn(scope.Level) }) {
			names = append(names, name)
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
	return stream(ctx, "resources", (*version).resource, func() ([]*version, error) {
		return s.selected(ctx, q)
	})
}

// stream reads once, and yields what that gives until the context ends.
func stream[V, T any](
	ctx context.Context, call string, tell func(V) T, read func() ([]V, error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		all, err := read()
		for _, v := range all {
			if err = ctx.Err(); err != nil {
				break
			}
			if !yield(tell(v), nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, fmt.Errorf("memsource: %s: %w", call, err))
		}
	}
}

func (v *version) resource() bulkexport.Resource {
	return bulkexport.Resource{Key: v.key, JSON: v.json}
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
	versions, err := s.selected(ctx, q)
	if err != nil {
		return 0, fmt.Errorf("memsource: count: %w", err)
	}
	return int64(len(versions)), nil
}

// Split implements [bulkexport.SourceSplitter]. All ranges but the last select
// exactly size resources.
func (s *Source) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	versions, err := s.selected(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("memsource: split: %w", err)
	}
	var cuts [][]byte
	for size > 0 && int64(len(versions)) > size {
		cuts = append(cuts, bytes.Clone(versions[size-1].key))
		versions = versions[size:]
	}
	return cuts, nil
}

// Consistency implements [bulkexport.SourceConsistency].
func (s *Source) Consistency() bulkexport.Consistency { return bulkexport.Snapshot }

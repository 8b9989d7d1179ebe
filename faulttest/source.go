package faulttest

import (
	"context"
	"iter"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Source returns the source as the process sees it. Every n-th resource of a
// stream counts as a call, besides its opening and its end; 0 counts none.
//
// It has all abilities that package bulkexport knows. Those that the inner one
// lacks do as if they were not there where that is possible (the time is now's,
// nothing is split, found or deleted); an export that needs more cannot be had
// without faults either. So none is dropped, and none is added that matters.
func (p *Process) Source(inner bulkexport.ResourceSource, n int, now func() time.Time) bulkexport.ResourceSource {
	return &source{p, inner, n, now}
}

// source has all abilities: that of searching is answered for each search.
type source struct {
	p     *Process
	inner bulkexport.ResourceSource
	every int
	now   func() time.Time
}

var _ interface {
	bulkexport.ResourceSource
	bulkexport.SourceClock
	bulkexport.SourceCounter
	bulkexport.SourceSplitter
	bulkexport.SourceConsistency
	bulkexport.SourceGroups
	bulkexport.SourcePatients
	bulkexport.SourceDeletions
	bulkexport.SourceSearcher
	bulkexport.SourceLookup
	bulkexport.SourceProvenance
	bulkexport.SourceOrganizer
} = (*source)(nil)

func sourceCall(method, about string) Call {
	return Call{Seam: SeamSource, Method: method, About: about}
}

func ask[T any](s *source, method, about string, fn func() (T, error)) (T, error) {
	return answer(func(method string, fn func() error) error {
		return s.p.call(sourceCall(method, about), fn)
	}, method, fn)
}

// stream counts the opening, each n-th item and the end of a stream.
func stream[T any](p *Process, c Call, n int, inner iter.Seq2[T, error]) iter.Seq2[T, error] {
	nothing := func() error { return nil }
	return func(yield func(T, error) bool) {
		var none T
		if err := p.call(c, nothing); err != nil {
			yield(none, err)
			return
		}
		item := c
		for v, err := range inner {
			item.Item++
			if n > 0 && item.Item%n == 0 {
				if err := p.call(item, nothing); err != nil {
					yield(none, err)
					return
				}
			}
			if !yield(v, err) {
				return
			}
		}
		c.End = true
		if err := p.call(c, nothing); err != nil {
			yield(none, err)
		}
	}
}

// Types implements [bulkexport.ResourceSource].
func (s *source) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	return ask(s, "Types", "", func() ([]string, error) { return s.inner.Types(ctx, scope) })
}

// Resources implements [bulkexport.ResourceSource].
func (s *source) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return stream(s.p, sourceCall("Resources", q.Type), s.every, s.inner.Resources(ctx, q))
}

// TransactionTime implements [bulkexport.SourceClock].
func (s *source) TransactionTime(ctx context.Context, tenant string) (time.Time, error) {
	clock, ok := s.inner.(bulkexport.SourceClock)
	if !ok {
		return s.now(), nil
	}
	return ask(s, "TransactionTime", "", func() (time.Time, error) { return clock.TransactionTime(ctx, tenant) })
}

// Count implements [bulkexport.SourceCounter].
func (s *source) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	counter, ok := s.inner.(bulkexport.SourceCounter)
	if !ok {
		return -1, nil // what a part has whose resources were not counted
	}
	return ask(s, "Count", q.Type, func() (int64, error) { return counter.Count(ctx, q) })
}

// Split implements [bulkexport.SourceSplitter].
func (s *source) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	splitter, ok := s.inner.(bulkexport.SourceSplitter)
	if !ok {
		return nil, nil
	}
	return ask(s, "Split", q.Type, func() ([][]byte, error) { return splitter.Split(ctx, q, size) })
}

// Consistency implements [bulkexport.SourceConsistency].
func (s *source) Consistency() bulkexport.Consistency {
	if declared, ok := s.inner.(bulkexport.SourceConsistency); ok {
		return declared.Consistency()
	}
	return bulkexport.Bounded
}

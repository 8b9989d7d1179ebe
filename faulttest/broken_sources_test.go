package faulttest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/source/memsource"
)

type resources = iter.Seq2[bulkexport.Resource, error]

// sourceOf is a source whose stream of resources is another one.
type sourceOf struct {
	*memsource.Source
	resources func(context.Context, bulkexport.Query) resources
}

// Resources implements [bulkexport.ResourceSource].
func (s sourceOf) Resources(ctx context.Context, q bulkexport.Query) resources {
	return s.resources(ctx, q)
}

func brokenSource(read func(*memsource.Source, context.Context, bulkexport.Query) resources) change {
	return func(p faulttest.Parts) faulttest.Parts {
		source := p.Source.(*memsource.Source)
		p.Source = sourceOf{source, func(ctx context.Context, q bulkexport.Query) resources {
			return read(source, ctx, q)
		}}
		return p
	}
}

func brokenSources() []brokenPart {
	skipping := brokenSource(func(s *memsource.Source, ctx context.Context, q bulkexport.Query) resources {
		return func(yield func(bulkexport.Resource, error) bool) {
			first := q.After != nil
			for r, err := range s.Resources(ctx, q) {
				if !first && !yield(r, err) {
					return
				}
				first = false
			}
		}
	})
	repeating := brokenSource(func(s *memsource.Source, ctx context.Context, q bulkexport.Query) resources {
		if q.After != nil {
			q.After = slices.Clone(q.After)
			q.After[len(q.After)-1]-- // a little less than what it is to come after
		}
		return s.Resources(ctx, q)
	})
	current := brokenSource(func(s *memsource.Source, ctx context.Context, q bulkexport.Query) resources {
		q.AsOf = time.Time{}
		return s.Resources(ctx, q)
	})
	var old atomic.Pointer[time.Time]
	stale := brokenSource(func(s *memsource.Source, ctx context.Context, q bulkexport.Query) resources {
		old.CompareAndSwap(nil, &q.AsOf)
		q.AsOf = *old.Load()
		return s.Resources(ctx, q)
	})
	var reads, streams atomic.Int64
	talking := brokenSource(func(s *memsource.Source, ctx context.Context, q bulkexport.Query) resources {
		return func(yield func(bulkexport.Resource, error) bool) {
			for r, err := range s.Resources(ctx, q) {
				if reads.Add(1)%90 == 0 {
					err = fmt.Errorf("cannot read %s", r.JSON)
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
		}
	})
	endless := brokenSource(func(s *memsource.Source, ctx context.Context, q bulkexport.Query) resources {
		return func(yield func(bulkexport.Resource, error) bool) {
			if ctx.Err() != nil || streams.Add(1) > 100 {
				yield(bulkexport.Resource{}, errors.New("no connection"))
				return
			}
			s.Resources(ctx, q)(yield)
		}
	})
	killed, changed := kinds(faulttest.KillBefore), kinds(faulttest.Change)
	return []brokenPart{
		{"source skips a resource when it goes on", skipping, nil, killed, falls(faulttest.SameFiles)},
		{"source repeats a resource when it goes on", repeating, nil, killed, falls(faulttest.SameFiles, faulttest.Ends)},
		{"source reads the current state", current, nil, changed, falls(faulttest.Snapshot)},
		{"source misses changes", stale, nil, changed, falls(faulttest.Snapshot)},
		{"source quotes a resource in an error", talking, nil, nil, falls(faulttest.Silent)},
		{"source gives up", endless, nil, nil, falls(faulttest.Ends)},
	}
}

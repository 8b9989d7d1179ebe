package sourcetest

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

func sharingFaults() []fault {
	return []fault{
		{"a stream counts its way", []string{"changes/what does not change is yielded"},
			func(f *faulty, _ *DataSet) { f.offsets(10) }},
		{"a stream sees what is written meanwhile", []string{"snapshots/a stream that has begun"},
			func(f *faulty, _ *DataSet) { f.pages(100) }},
		{"one stream at a time",
			[]string{"concurrency/several streams at once", "concurrency/a stream within a stream"},
			oneAtATime},
		{"a stream keeps writers out",
			[]string{"changes/what does not change is yielded", "snapshots/a stream that has begun"},
			writersKeptOut},
		{"writers break streams", []string{"concurrency/streams and writers"},
			func(f *faulty, d *DataSet) {
				var writes atomic.Int64
				d.Put = spyPut(d.Put, func([]byte) { writes.Add(1) })
				f.onItems(func(_ query, all resources) resources {
					if writes.Load() > 100 {
						return all[:len(all)/2]
					}
					return all
				})
			}},
	}
}

// pages reads a stream page by page, each as of its own moment.
func (f *faulty) pages(size int) {
	f.onStream(func(_ context.Context, q query, yield yieldFunc) {
		q.AsOf = time.Time{}
		for full := true; full; {
			page := f.all(q)
			full = len(page) > size
			for _, r := range page[:min(size, len(page))] {
				q.After = r.Key
				if !yield(r, nil) {
					return
				}
			}
		}
	})
}

// offsets reads page by page too, and finds the next one by counting.
func (f *faulty) offsets(size int) {
	f.onStream(func(_ context.Context, q query, yield yieldFunc) {
		for from := 0; ; from += size {
			all := f.all(q)
			if from >= len(all) {
				return
			}
			for _, r := range all[from:min(from+size, len(all))] {
				r.Key = append(bytes.Clone(r.Key), byte(from))
				if !yield(r, nil) {
					return
				}
			}
		}
	})
}

func oneAtATime(f *faulty, _ *DataSet) {
	turn := make(chan struct{}, 1)
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		select {
		case turn <- struct{}{}:
		case <-ctx.Done():
			yield(bulkexport.Resource{}, ctx.Err())
			return
		}
		defer func() { <-turn }()
		f.Source.Resources(ctx, q)(yield)
	})
}

func writersKeptOut(f *faulty, d *DataSet) {
	var lock sync.RWMutex
	put := d.Put
	d.Put = func(ctx context.Context, tenant string, docs ...[]byte) (time.Time, error) {
		lock.Lock()
		defer lock.Unlock()
		return put(ctx, tenant, docs...)
	}
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		lock.RLock()
		defer lock.RUnlock()
		f.Source.Resources(ctx, q)(yield)
	})
}

func secondSourceFaults() []fault {
	reopen := func(spoil func(second *faulty)) func(*faulty, *DataSet) {
		return func(f *faulty, d *DataSet) {
			d.Reopen = func(*testing.T) bulkexport.ResourceSource {
				second := newFaulty(f.Source)
				spoil(second)
				return second
			}
		}
	}
	return []fault{
		{"a second source has no data", []string{"persistence/the same data"},
			reopen(func(second *faulty) {
				second.onItems(func(query, resources) resources { return nil })
			})},
		{"a second source has keys of its own",
			[]string{
				"persistence/the same data", "persistence/keys keep their meaning",
				"persistence/cuts keep their meaning",
			},
			reopen(func(second *faulty) { second.onItems(second.positions) })},
		{"a second source has a clock of its own", []string{"persistence/the clock of another process"},
			reopen(func(second *faulty) {
				second.time = func(context.Context, string) (time.Time, error) {
					return time.Now().Add(time.Second), nil
				}
			})},
	}
}

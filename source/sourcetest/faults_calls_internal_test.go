package sourcetest

import (
	"context"
	"errors"
	"iter"
	"sync/atomic"
	"time"

	"github.com/bulkexport/bulkexport"
)

func clockFaults() []fault {
	ahead := func(by time.Duration) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.time = func(ctx context.Context, tenant string) (time.Time, error) {
				at, err := f.Source.TransactionTime(ctx, tenant)
				return at.Add(by), err
			}
		}
	}
	return []fault{
		{"time goes back", []string{"clock/never goes back"},
			func(f *faulty, _ *DataSet) {
				var calls atomic.Int64
				f.time = func(ctx context.Context, tenant string) (time.Time, error) {
					at, err := f.Source.TransactionTime(ctx, tenant)
					return at.Add(-time.Duration(calls.Add(1)) * time.Second), err
				}
			}},
		{"time is ahead",
			[]string{
				"clock/a change is later than every cut before it", "clock/no late commit",
				"incremental/with a writer at work",
			}, ahead(5 * time.Millisecond)},
		{"time stands still", []string{"clock/what was put is visible"}, ahead(-24 * time.Hour)},
		{"no time for a tenant without data", []string{"clock/an unknown tenant"},
			func(f *faulty, _ *DataSet) {
				f.time = func(ctx context.Context, tenant string) (time.Time, error) {
					if names, _ := f.Source.Types(ctx, bulkexport.Scope{
						Tenant: tenant, Level: bulkexport.LevelSystem,
					}); len(names) == 0 {
						return time.Time{}, errors.New("no such tenant")
					}
					return f.Source.TransactionTime(ctx, tenant)
				}
			}},
	}
}

func contextFaults() []fault {
	return []fault{
		{"the context is ignored",
			[]string{
				"cancellation/before a stream", "cancellation/in a stream", "cancellation/after a deadline",
			},
			func(f *faulty, _ *DataSet) {
				f.resources = func(ctx context.Context, q query) iter.Seq2[bulkexport.Resource, error] {
					return f.Source.Resources(context.WithoutCancel(ctx), q)
				}
			}},
		{"calls ignore the context", []string{"cancellation/before a call"},
			func(f *faulty, _ *DataSet) {
				f.split = func(ctx context.Context, q query, size int64) ([][]byte, error) {
					return f.Source.Split(context.WithoutCancel(ctx), q, size)
				}
			}},
		{"checks ignore the context", []string{"cancellation/before a call"},
			func(f *faulty, _ *DataSet) {
				f.check = func(ctx context.Context, tenant, id string) error {
					return f.Source.CheckGroup(context.WithoutCancel(ctx), tenant, id)
				}
			}},
		{"what waits ignores the context", []string{"cancellation/waiting for others"},
			func(f *faulty, _ *DataSet) {
				f.count = func(ctx context.Context, q query) (int64, error) {
					f.pass(context.WithoutCancel(ctx))
					return f.Source.Count(ctx, q)
				}
			}},
		{"blocks ignore the context", []string{"cancellation/before a stream"},
			func(f *faulty, _ *DataSet) {
				f.blocks = func(
					ctx context.Context, q query, types []string,
				) iter.Seq2[bulkexport.BlockResource, error] {
					return f.Source.Blocks(context.WithoutCancel(ctx), q, types)
				}
			}},
		{"the context's error is hidden",
			[]string{"cancellation/in a stream", "cancellation/after a deadline"},
			func(f *faulty, _ *DataSet) {
				f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
					for r, err := range f.Source.Resources(ctx, q) {
						if err != nil {
							err = errors.New("interrupted")
						}
						if !yield(r, err) {
							return
						}
					}
				})
			}},
		{"a cancelled stream just ends", []string{"cancellation/in a stream"},
			func(f *faulty, _ *DataSet) {
				f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
					for r, err := range f.Source.Resources(ctx, q) {
						if err != nil || !yield(r, nil) {
							return
						}
					}
				})
			}},
		{"one cancelled stream spoils the source", []string{"cancellation/others go on"}, spoilt},
	}
}

func spoilt(f *faulty, _ *DataSet) {
	var spoilt atomic.Bool
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		if spoilt.Load() {
			yield(bulkexport.Resource{}, context.Canceled)
			return
		}
		for r, err := range f.Source.Resources(ctx, q) {
			if err != nil {
				spoilt.Store(true)
			}
			if !yield(r, err) {
				return
			}
		}
	})
}

func releaseFaults() []fault {
	return []fault{
		{"connections are kept", []string{"release/streams broken off", "release/a body that panics"},
			func(f *faulty, _ *DataSet) { f.pooled(false) }},
		{"connections are kept after a panic", []string{"release/a body that panics"},
			func(f *faulty, _ *DataSet) { f.pooled(true) }},
		{"goroutines are kept", []string{"release/goroutines"}, leftGoroutines},
	}
}

// pooled takes one of a few connections for each stream, and gives it back at
// the end, or also when the stream is broken off.
func (f *faulty) pooled(alsoBroken bool) {
	pool := make(chan struct{}, 10)
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		select {
		case pool <- struct{}{}:
		case <-ctx.Done():
			yield(bulkexport.Resource{}, ctx.Err())
			return
		}
		for r, err := range f.Source.Resources(ctx, q) {
			if !yield(r, err) {
				if alsoBroken {
					<-pool
				}
				return
			}
		}
		<-pool
	})
}

func leftGoroutines(f *faulty, _ *DataSet) {
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		next := make(chan bulkexport.Resource)
		go func() {
			defer close(next)
			for _, r := range f.all(q) {
				select {
				case next <- r:
				case <-ctx.Done():
					return
				}
			}
		}()
		for r := range next {
			if !yield(r, nil) {
				return
			}
		}
	})
}

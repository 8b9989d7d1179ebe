package bulkexport_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// TestPanicsOfTheHostAreErrors has the host's code panic once in each place.
func TestPanicsOfTheHostAreErrors(t *testing.T) {
	t.Parallel()
	for name, arrange := range map[string]func(cfg *bulkexport.Config, source *listSource, once func()){
		"filter": func(cfg *bulkexport.Config, _ *listSource, once func()) {
			cfg.Filter = func(_ context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
				once()
				return resource, nil
			}
		},
		"source": func(_ *bulkexport.Config, source *listSource, once func()) {
			source.before = func(context.Context, string, int) error {
				once()
				return nil
			}
		},
		"observer": func(cfg *bulkexport.Config, _ *listSource, once func()) {
			cfg.Observer.FileCommitted = func(context.Context, bulkexport.Job, bulkexport.File) { once() }
		},
	} {
		for how, end := range map[string]func(){
			"panic":  func() { panic(secret) },
			"index":  func() { _ = []int{}[len(secret)] },
			"goexit": runtime.Goexit,
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					source := newListSource(map[string]int{"Patient": 3})
					cfg := bulkexport.Config{Source: source, Runner: bulkexport.NewPool(1)}
					calls := 0
					arrange(&cfg, source, func() {
						if calls++; calls == 1 {
							end()
						}
					})
					k := newKit(t, cfg)
					k.start()
					defer k.stop()
					id := k.kickOff()
					require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
					require.Equal(t, source.all("Patient"), k.lines(id))
					require.NotContains(t, k.log.String(), secret)
				})
			})
		}
	}
}

// wrongSource breaks the contract of sources in one way.
type wrongSource struct {
	*listSource
	wrong func(n int, r bulkexport.Resource) (bulkexport.Resource, error)
	cuts  [][]byte
	greed bool
}

func (s wrongSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		n := 0
		for r, err := range s.listSource.Resources(ctx, q) {
			if s.wrong != nil {
				r, err = s.wrong(n, r)
			}
			n++
			if !yield(r, err) && !s.greed {
				return
			}
		}
	}
}

func (s wrongSource) Split(context.Context, bulkexport.Query, int64) ([][]byte, error) {
	return s.cuts, nil
}

// TestWrongSourcesFailTheJob: what breaks the rules must not look like an export.
func TestWrongSourcesFailTheJob(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]wrongSource{
		"no key": {wrong: func(n int, r bulkexport.Resource) (bulkexport.Resource, error) {
			if n == 2 {
				r.Key = nil
			}
			return r, nil
		}},
		"no key with a resource error": {wrong: func(n int, r bulkexport.Resource) (bulkexport.Resource, error) {
			if n == 2 {
				return bulkexport.Resource{}, &bulkexport.ResourceError{Type: "Patient", Reason: "damaged"}
			}
			return r, nil
		}},
		"one key twice": {wrong: func(n int, r bulkexport.Resource) (bulkexport.Resource, error) {
			r.Key = listKey(n / 2)
			return r, nil
		}},
		"goes on after the end": {greed: true, wrong: func(n int, r bulkexport.Resource) (bulkexport.Resource, error) {
			return r, errors.New("broken")
		}},
		"empty cut":     {cuts: [][]byte{{}}},
		"one cut again": {cuts: [][]byte{listKey(2), listKey(2)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source.listSource = newListSource(map[string]int{"Patient": 5})
				k := newKit(t, bulkexport.Config{Source: source})
				k.start()
				defer k.stop()
				require.Equal(t, bulkexport.JobFailed, k.wait(k.kickOff()).Job.State)
			})
		})
	}
}

// TestErrorsOfTheHostAreNotTheStores has host code return errors that mean
// something else when the store returns them.
func TestErrorsOfTheHostAreNotTheStores(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		bulkexport.ErrJobNotFound, bulkexport.ErrFileNotFound, context.Canceled,
		&bulkexport.ResourceError{Type: "Consent", Reason: "unreadable"},
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source := newListSource(map[string]int{"Patient": 3})
				k := newKit(t, bulkexport.Config{Source: source, Filter: func(
					context.Context, bulkexport.Job, string, []byte,
				) ([]byte, error) {
					return nil, fmt.Errorf("consent service: %w", cause)
				}})
				k.start()
				defer k.stop()
				require.Equal(t, bulkexport.JobFailed, k.wait(k.kickOff()).Job.State)
				require.Contains(t, k.log.String(), "consent service")
			})
		})
	}
}

// impatientRunner is an engine with a time-out for each task.
type impatientRunner struct{ *bulkexport.Pool }

func (r impatientRunner) Start(ctx context.Context, fn func(context.Context, bulkexport.Task) error) error {
	return r.Pool.Start(ctx, func(ctx context.Context, task bulkexport.Task) error {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return fn(ctx, task)
	})
}

func TestTimeoutsOfAnEngineCount(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]bulkexport.ResourceSource{
		"part": slow(newListSource(map[string]int{"Patient": 100})),
		"plan": slowTypes{newListSource(map[string]int{"Patient": 1}), 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, bulkexport.Config{Source: source, Runner: impatientRunner{bulkexport.NewPool(1)}})
				k.start()
				defer k.stop()
				require.Equal(t, bulkexport.JobFailed, k.wait(k.kickOff()).Job.State)
			})
		})
	}
}

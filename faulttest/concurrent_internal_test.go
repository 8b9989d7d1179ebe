// The processes of this test really run side by side, which the package cannot
// do for others: its parts are in memory and its time is that of a bubble. It is
// within the package for the eyes of its client.
package faulttest

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

const tenant = "north"

// fleet is a number of processes that work on the same export.
type fleet struct {
	*testing.T
	parts    Parts
	cfg      bulkexport.Config
	injector *Injector
	client   *client
	random   *rand.Rand // of the bubble's own goroutine

	mu      sync.Mutex
	workers []*worker
	ended   sync.WaitGroup // of workers that stop, and of requests
	created map[string]bool
	changed int
}

type worker struct {
	*Process
	exporter *bulkexport.Exporter
	// stopping is set once it is to stop, relieved once another one was started.
	stopping atomic.Bool
	relieved bool
}

// TestSideBySide runs random schedules with processes that have several workers,
// heartbeats and sweepers each.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	schedules, seed := 300, uint64(1)
	if n, err := strconv.Atoi(os.Getenv("BULKEXPORT_FAULTS")); err == nil {
		schedules, seed = n, uint64(time.Now().UnixNano())
	}
	var want result
	synctest.Test(t, func(t *testing.T) { want = newFleet(t, rand.New(rand.NewPCG(0, 0)), nil).export(nil) })
	require.Greater(t, len(want.files), 8)
	strikes := 0
	for i := range uint64(schedules) {
		random := rand.New(rand.NewPCG(seed+i, 0))
		var schedule Schedule
		for range 1 + random.IntN(5) {
			kinds := Kinds()
			schedule = append(schedule, Fault{Kind: kinds[random.IntN(len(kinds))], Call: 1 + random.IntN(250)})
		}
		ok := t.Run(strconv.FormatUint(seed+i, 10), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t, random, schedule)
				f.export(&want)
				strikes += len(f.injector.Strikes())
			})
		})
		require.True(t, ok, "%s", schedule)
	}
	t.Logf("%d schedules, %d faults struck", schedules, strikes)
}

func newFleet(t *testing.T, random *rand.Rand, schedule Schedule) *fleet {
	t.Helper()
	source := memsource.New(memsource.Config{})
	for i := range 40 {
		name := []string{"Location", "Observation", "Observation", "Observation", "Patient"}[i%5]
		_, err := source.Put(tenant, fmt.Appendf(nil, `{"resourceType":%q,"id":"%d"}`, name, i))
		require.NoError(t, err)
	}
	f := &fleet{T: t, random: random, created: map[string]bool{}}
	f.parts = Parts{Source: slowly{source}, Store: memstore.New(), Sink: memsink.New()}
	f.cfg = bulkexport.Config{
		MaxFileResources: 7, MaxFileBytes: 150, Slice: 3 * time.Second, Logger: slog.New(slog.DiscardHandler),
		MaxAttempts: 20,
	}
	f.injector = NewInjector(schedule, Hooks{Strike: f.strike, Done: f.done, describe: f.describe})
	var err error
	f.client, err = newClient(f.parts, f.cfg, bulkexport.Access{Caller: bulkexport.Caller{Tenant: tenant}}, "")
	require.NoError(t, err)
	return f
}

// slowly is a source that takes its time for each resource.
type slowly struct{ *memsource.Source }

// Resources implements [bulkexport.ResourceSource].
func (s slowly) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		for r, err := range s.Source.Resources(ctx, q) {
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
				err = ctx.Err()
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// start starts another process.
func (f *fleet) start() {
	f.Helper()
	w := &worker{Process: f.injector.Process()}
	cfg := f.cfg
	cfg.Source = w.Source(f.parts.Source, 1, time.Now)
	cfg.Store, cfg.Sink = w.Store(f.parts.Store), w.Sink(f.parts.Sink)
	cfg.Runner = w.Runner(bulkexport.NewPool(2))
	var err error
	w.exporter, err = bulkexport.New(cfg)
	require.NoError(f, err)
	f.mu.Lock()
	f.workers = append(f.workers, w)
	f.mu.Unlock()
	require.NoError(f, w.exporter.Start(f.Context()))
}

// tend lets a moment go by, and starts processes for those that have come to
// their end, or hang.
func (f *fleet) tend() {
	f.Helper()
	<-time.After(700 * time.Millisecond)
	f.client.look()
	require.NoError(f, f.client.fault(), "%v", f.injector.Strikes())
	f.mu.Lock()
	workers := f.workers
	f.mu.Unlock()
	for _, w := range workers {
		over := w.Dead() || w.stopping.Load()
		if hangs := isClosed(w.Frozen()); w.relieved || !over && !hangs {
			continue
		}
		w.relieved = true
		if over {
			f.ended.Go(func() { _ = w.exporter.Stop(context.Background()) })
		}
		f.start()
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// until tends until something holds while nothing moves.
func (f *fleet) until(what string, holds func() bool) {
	f.Helper()
	for range 2000 {
		if synctest.Wait(); holds() {
			return
		}
		f.tend()
	}
	require.Fail(f, what, "%v", f.injector.Strikes())
}

// export runs the export and all that comes after it.
func (f *fleet) export(want *result) result {
	f.Helper()
	defer f.end()
	f.start()
	f.start()
	f.until("no kick-off is accepted", f.kickOff)
	f.until("the export does not end", f.allEnded)
	got := f.compare(want)
	f.until("processes hang", f.allGoOn)
	f.until("the export does not end again", f.allEnded)
	f.compare(want)
	f.client.sends()
	f.until("no DELETE is accepted", f.deleted)
	f.until("processes hang again", f.allGoOn)
	f.injector.Calm()
	f.until("exports are left", func() bool {
		jobs, err := f.parts.Store.Jobs(f.Context(), bulkexport.JobFilter{})
		require.NoError(f, err)
		if len(jobs) > 0 && f.allEnded() {
			<-time.After(24 * time.Hour) // nobody knows them
		}
		return len(jobs) == 0
	})
	f.end()
	for file := range f.created {
		job, name, _ := strings.Cut(file, "/")
		_, err := f.parts.Sink.Open(context.Background(), job, name)
		require.ErrorIs(f, err, bulkexport.ErrFileNotFound, "%v", f.injector.Strikes())
	}
	return got
}

// end stops all processes.
func (f *fleet) end() {
	f.injector.Calm()
	for _, w := range f.workers {
		w.Thaw()
		require.NoError(f, w.exporter.Stop(context.Background()))
		w.Bury()
	}
	f.ended.Wait()
}

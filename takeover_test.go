package bulkexport_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// slow makes a source take a second for each resource, and heed its context.
func slow(source *listSource) *listSource {
	source.before = func(ctx context.Context, _ string, _ int) error {
		select {
		case <-time.After(time.Second):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return source
}

func TestStoppedExportGoesOnAtTheNextStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 40, "Observation": 7})
		cfg := bulkexport.Config{Source: slow(source), MaxFileResources: 9}
		k := newKit(t, cfg)
		k.start()
		id := k.kickOff()
		var last bulkexport.Progress
		for stops := range 20 {
			pass(13 * time.Second)
			k.stop()
			status := k.status(id)
			require.GreaterOrEqual(t, status.Progress.Done, last.Done, "progress only grows")
			last = status.Progress
			if status.Job.State == bulkexport.JobCompleted {
				require.Greater(t, stops, 2)
				break
			}
			k.open(cfg)
			k.start()
		}
		require.Equal(t, source.all("Patient", "Observation"), k.lines(id))
		require.Len(t, k.status(id).Files, 6)
	})
}

// gatedStore passes everything through until the gate is closed; then calls
// wait until it is opened, or fail at once if they are set to.
type gatedStore struct {
	bulkexport.JobStore
	fail atomic.Bool

	mu   sync.Mutex
	gate chan struct{}
}

var errGate = errors.New("store is out of reach")

func (s *gatedStore) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = make(chan struct{})
}

// reopen lets calls through again. Those that wait go on waiting.
func (s *gatedStore) reopen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = nil
}

func (s *gatedStore) pass() error {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate == nil {
		return nil
	}
	if s.fail.Load() {
		return errGate
	}
	<-gate
	return nil
}

func (s *gatedStore) UpdatePart(
	ctx context.Context, id string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	if err := s.pass(); err != nil {
		return bulkexport.Part{}, err
	}
	return s.JobStore.UpdatePart(ctx, id, index, fn)
}

func (s *gatedStore) Jobs(ctx context.Context, filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	if err := s.pass(); err != nil {
		return nil, err
	}
	return s.JobStore.Jobs(ctx, filter)
}

func TestDeadWorkersPartIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 30})
		k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
		dying := &gatedStore{JobStore: k.store}
		k.open(bulkexport.Config{Source: slow(source), Store: dying, MaxFileResources: 10})
		k.start()
		id := k.kickOff()
		pass(15 * time.Second)
		dying.fail.Store(true)
		dying.shut()
		k.stop() // whatever it tries to write down does not arrive: as good as dead

		k.open(bulkexport.Config{Source: source, MaxFileResources: 10})
		k.start()
		defer k.stop()
		pass(2 * time.Second)
		require.Equal(t, bulkexport.JobRunning, k.status(id).Job.State, "the lease still protects the part")
		pass(45 * time.Second)
		require.Equal(t, bulkexport.JobCompleted, k.status(id).Job.State)
		require.Equal(t, source.all("Patient"), k.lines(id))
	})
}

func TestLateWorkerIsFencedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 30})
		k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
		stuck := &gatedStore{JobStore: k.store}
		k.open(bulkexport.Config{Source: slow(source), Store: stuck, MaxFileResources: 10})
		k.start()
		id := k.kickOff()
		pass(15 * time.Second)
		stuck.shut() // the process hangs in every update, but is alive
		late := k.exporter

		k.open(bulkexport.Config{Source: source, MaxFileResources: 10})
		k.start()
		defer k.stop()
		pass(60 * time.Second)
		want := k.contents(id)
		require.Equal(t, source.all("Patient"), k.lines(id))

		close(stuck.gate) // now the late updates arrive
		synctest.Wait()
		pass(time.Minute)
		require.NoError(t, late.Stop(context.Background()))
		require.Equal(t, want, k.contents(id))
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		pass(time.Minute)
		jobs, err := k.store.Jobs(t.Context(), bulkexport.JobFilter{})
		require.NoError(t, err)
		require.Empty(t, jobs)
	})
}

func TestDeleteStopsTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := slow(newListSource(map[string]int{"Patient": 1000}))
		var stopped atomic.Int64
		inner := source.before
		source.before = func(ctx context.Context, name string, n int) error {
			err := inner(ctx, name, n)
			if err != nil {
				stopped.Add(1)
			}
			return err
		}
		k := newKit(t, bulkexport.Config{Source: source, MaxFileResources: 5})
		k.start()
		defer k.stop()
		id := k.kickOff()
		pass(42500 * time.Millisecond)
		parts, err := k.store.Parts(t.Context(), id)
		require.NoError(t, err)
		name := parts[0].Files[0].Name
		_, err = k.sink.Open(t.Context(), id, name)
		require.NoError(t, err)

		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		_, err = k.exporter.Status(t.Context(), alice, id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
		require.ErrorIs(t, k.exporter.Delete(t.Context(), alice, id), bulkexport.ErrJobNotFound)
		synctest.Wait()
		require.EqualValues(t, 1, stopped.Load(), "even the read in progress ended")
		_, err = k.sink.Open(t.Context(), id, name)
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
		_, err = k.store.Job(t.Context(), id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
	})
}

// TestDeleteReachesOtherProcesses deletes through an exporter that does not
// work on the job.
func TestDeleteReachesOtherProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := slow(newListSource(map[string]int{"Patient": 1000}))
		k := newKit(t, bulkexport.Config{Source: source, MaxFileResources: 5})
		k.start()
		worker := k.exporter
		id := k.kickOff()
		pass(42500 * time.Millisecond)
		k.open(bulkexport.Config{Source: source}) // not started
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		pass(time.Second)
		read := source.reads.Load()
		pass(20 * time.Second)
		require.Equal(t, read, source.reads.Load())
		_, err := k.store.Job(t.Context(), id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
		require.NoError(t, worker.Stop(context.Background()))
	})
}

func TestExpiredExportsGoAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 3}), TTL: time.Hour})
		k.start()
		defer k.stop()
		id := k.kickOff()
		name := k.wait(id).Files[0].Name
		pass(59 * time.Minute)
		require.NotEmpty(t, k.lines(id))
		pass(time.Minute)
		_, err := k.exporter.Status(t.Context(), alice, id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
		_, err = k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
		pass(10 * time.Second)
		_, err = k.sink.Open(t.Context(), id, name)
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
		_, err = k.store.Job(t.Context(), id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
	})
}

func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := slow(newListSource(map[string]int{"Patient": 200}))
		k := newKit(t, bulkexport.Config{Source: countingSource{source}})
		k.start()
		defer k.stop()
		id := k.kickOff()
		var last bulkexport.Status
		for i := range 20 {
			pass(10 * time.Second)
			status := k.status(id)
			if status.Job.State == bulkexport.JobCompleted {
				break
			}
			require.Greater(t, status.Progress.Done, last.Progress.Done)
			require.EqualValues(t, 200, status.Progress.Total)
			fraction, known := status.Progress.Fraction()
			require.True(t, known)
			require.Less(t, fraction, 1.0)
			left := time.Duration(200-status.Progress.Done) * time.Second
			soon := time.Duration(i+1) * 5 * time.Second // half of what has gone by
			require.InDelta(t, min(left, soon), status.RetryAfter, float64(5*time.Second))
			require.Zero(t, status.RetryAfter%time.Second)
			last = status
		}
		require.Greater(t, last.Progress.Done, int64(180))
		require.Equal(t, bulkexport.Progress{Done: 200, Total: 200, Complete: true}, k.wait(id).Progress)
	})
}

func TestProgressWithoutCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: slow(newListSource(map[string]int{"Patient": 100}))})
		k.start()
		defer k.stop()
		id := k.kickOff()
		pass(30 * time.Second)
		status := k.status(id)
		require.EqualValues(t, -1, status.Progress.Total)
		require.InDelta(t, 30, status.Progress.Done, 2)
		_, known := status.Progress.Fraction()
		require.False(t, known)
		require.GreaterOrEqual(t, status.RetryAfter, time.Second)
	})
}

// TestLongPartsGiveWay has one tenant with a long export and one worker.
func TestLongPartsGiveWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := slow(newListSource(map[string]int{"Patient": 300, "Observation": 1}))
		k := newKit(t, bulkexport.Config{
			Source: source, Runner: bulkexport.NewPool(1), MaxFileResources: 10, Slice: 20 * time.Second,
		})
		k.start()
		defer k.stop()
		long := k.kickOff("Patient")
		pass(5 * time.Second)
		other := bulkexport.Access{Caller: bulkexport.Caller{Tenant: "south", Client: "bob"}}
		short, err := k.exporter.KickOff(t.Context(), other,
			bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Types: []string{"Observation"}})
		require.NoError(t, err)
		// Plan, part and finish each wait for a slice of the other one, which ends
		// with the file after it: 21 seconds.
		pass(90 * time.Second)
		status, err := k.exporter.Status(t.Context(), other, short.ID)
		require.NoError(t, err)
		require.Equal(t, bulkexport.JobCompleted, status.Job.State)
		require.Equal(t, bulkexport.JobRunning, k.status(long).Job.State)
		require.Equal(t, source.all("Patient"), func() map[string][]string { k.wait(long); return k.lines(long) }())
	})
}

// TestPoisonPartEndsTheJob has a part that takes its process down each time.
func TestPoisonPartEndsTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3})
		k := newKit(t, bulkexport.Config{Source: source})
		for life := 0; ; life++ {
			require.Less(t, life, 10, "the job never ends")
			dying := &gatedStore{JobStore: k.store}
			dying.fail.Store(true)
			source.before = func(context.Context, string, int) error {
				dying.shut()
				return fmt.Errorf("life %d ends", life)
			}
			k.open(bulkexport.Config{Source: source, Store: dying, MaxAttempts: 3})
			k.start()
			if life == 0 {
				k.kickOff()
			}
			pass(40 * time.Second)
			k.stop()
			jobs, err := k.store.Jobs(t.Context(), bulkexport.JobFilter{})
			require.NoError(t, err)
			if jobs[0].State == bulkexport.JobFailed {
				require.Equal(t, 3, life)
				return
			}
		}
	})
}

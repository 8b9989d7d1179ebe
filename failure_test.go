package bulkexport_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

func TestPermanentErrorEndsTheJobAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 4})
		source.before = func(context.Context, string, int) error {
			return fmt.Errorf("permission denied: %w", bulkexport.ErrPermanent)
		}
		k := newKit(t, bulkexport.Config{Source: source})
		k.start()
		defer k.stop()
		id := k.kickOff()
		synctest.Wait()
		status := k.status(id)
		require.Equal(t, bulkexport.JobFailed, status.Job.State)
		require.Equal(t, "The export failed while writing Patient resources: the data could not be read.",
			status.Job.FailureReason)
		require.EqualValues(t, 1, source.reads.Load())
	})
}

type forbiddenTypes struct{ *listSource }

func (forbiddenTypes) Types(context.Context, bulkexport.Scope) ([]string, error) {
	return nil, fmt.Errorf("permission denied: %w", bulkexport.ErrPermanent)
}

func TestPermanentErrorOfThePlanEndsTheJobAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: forbiddenTypes{newListSource(nil)}})
		k.start()
		defer k.stop()
		id := k.kickOff()
		synctest.Wait()
		status := k.status(id)
		require.Equal(t, bulkexport.JobFailed, status.Job.State)
		require.Equal(t, 1, status.Job.Attempt)
	})
}

// badSink fails to create, as long as it is told to.
type badSink struct {
	*memsink.Sink
	err func() error
}

func (s badSink) Create(ctx context.Context, id, name string) (bulkexport.FileWriter, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Sink.Create(ctx, id, name)
}

func TestTroubleOfTheSinkIsTold(t *testing.T) {
	t.Parallel()
	for reason, cause := range map[string]error{
		": there is no room for its files.": fmt.Errorf("write: %w", bulkexport.ErrStorageFull),
		": its files could not be stored.":  errors.New("bucket is gone"),
	} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source := newListSource(map[string]int{"Patient": 4})
				k := newKit(t, bulkexport.Config{
					Source: source, Sink: badSink{memsink.New(), func() error { return cause }}, MaxAttempts: 4,
				})
				k.start()
				defer k.stop()
				status := k.wait(k.kickOff())
				require.Equal(t, "The export failed while writing Patient resources"+reason, status.Job.FailureReason)
				require.EqualValues(t, 4, source.reads.Load(), "it may pass, so it was tried again")
			})
		})
	}
}

func TestStatusSaysThatItIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		full.Store(true)
		sink := badSink{memsink.New(), func() error {
			if full.Load() {
				return bulkexport.ErrStorageFull
			}
			return nil
		}}
		source := newListSource(map[string]int{"Patient": 4})
		k := newKit(t, bulkexport.Config{Source: source, Sink: sink})
		k.start()
		defer k.stop()
		id := k.kickOff()
		pass(20 * time.Second)
		require.True(t, k.status(id).Retrying)
		full.Store(false)
		status := k.wait(id)
		require.Equal(t, bulkexport.JobCompleted, status.Job.State)
		require.False(t, status.Retrying)
		require.Equal(t, source.all("Patient"), k.lines(id))
	})
}

// TestLateWorkerCannotFailTheJob has a worker hang until another one has the
// part, and then meet an error for good.
func TestLateWorkerCannotFailTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 4})
		k := newKit(t, bulkexport.Config{Source: source})
		hanging := newListSource(map[string]int{"Patient": 4})
		wake := make(chan struct{})
		hanging.before = func(context.Context, string, int) error {
			<-wake // whatever its context says
			return bulkexport.ErrPermanent
		}
		stuck := &gatedStore{JobStore: k.store}
		stuck.fail.Store(true)
		k.open(bulkexport.Config{Source: hanging, Store: stuck})
		k.start()
		late := k.stopper()
		id := k.kickOff()
		synctest.Wait()
		stuck.shut() // from now on it cannot renew

		k.open(bulkexport.Config{Source: slow(source)})
		k.start()
		defer k.stop()
		pass(17 * time.Second)
		require.EqualValues(t, 1, source.reads.Load(), "it was taken over")
		stuck.reopen()
		close(wake)
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
		require.Equal(t, source.all("Patient"), k.lines(id))
		late()
	})
}

func TestExportThatTakesTooLongFails(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]bulkexport.ResourceSource{
		"plan": slowTypes{newListSource(nil), 100 * time.Minute},
		"part": slow(newListSource(map[string]int{"Patient": 10_000})),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := newKit(t, bulkexport.Config{
					Source: source, MaxFileResources: 100, MaxDuration: time.Hour, StallTimeout: 2 * time.Hour,
				})
				k.start()
				defer k.stop()
				id := k.kickOff()
				pass(59 * time.Minute)
				require.False(t, k.status(id).Job.State.Ended())
				pass(time.Minute + 10*time.Second)
				status := k.status(id)
				require.Equal(t, bulkexport.JobFailed, status.Job.State)
				require.Equal(t, "The export took longer than this server allows.", status.Job.FailureReason)
				pass(2 * time.Second)
				for file, err := range k.sink.Files(t.Context(), id) {
					require.NoError(t, err)
					require.Fail(t, "there is a file", file.Name)
				}
			})
		})
	}
}

// TestExportThatNobodyWorksOnFails: that there is no worker is no reason to live for ever.
func TestExportThatNobodyWorksOnFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(nil), MaxDuration: time.Hour})
		id := k.kickOff()
		pass(2 * time.Hour)
		k.start()
		defer k.stop()
		require.Equal(t, bulkexport.JobFailed, k.wait(id).Job.State)
	})
}

// TestClockThatIsPutBack: the lease of a worker that died before lies in the
// future for an hour.
func TestClockThatIsPutBack(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"plan", "part"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var back time.Duration
				source := newListSource(map[string]int{"Patient": 30})
				k := newKit(t, bulkexport.Config{Source: source})
				dying := &brokenStore{JobStore: k.store}
				var first bulkexport.ResourceSource = slow(source)
				if phase == "plan" {
					first = slowTypes{newListSource(nil), time.Hour}
				}
				k.open(bulkexport.Config{Source: first, Store: dying})
				k.start()
				id := k.kickOff()
				pass(5 * time.Second)
				dying.broken.Store(true)
				k.stop()

				back = time.Hour
				source.before = nil
				k.open(bulkexport.Config{Source: source, Now: func() time.Time { return time.Now().Add(-back) }})
				k.start()
				defer k.stop()
				pass(time.Minute)
				require.Equal(t, bulkexport.JobCompleted, k.status(id).Job.State)
				require.Equal(t, source.all("Patient"), k.lines(id))
			})
		})
	}
}

// deafStore stops to answer some calls, and heeds their contexts.
type deafStore struct {
	bulkexport.JobStore
	deaf atomic.Bool
}

func (s *deafStore) UpdatePart(
	ctx context.Context, id string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	if s.deaf.Load() {
		<-ctx.Done()
		return bulkexport.Part{}, ctx.Err()
	}
	return s.JobStore.UpdatePart(ctx, id, index, fn)
}

func (s *deafStore) Jobs(ctx context.Context, filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	if s.deaf.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.JobStore.Jobs(ctx, filter)
}

// TestStoreThatDoesNotAnswer leaves calls hanging that began before the store
// was well again.
func TestStoreThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 100})
		k := newKit(t, bulkexport.Config{Source: source})
		deaf := &deafStore{JobStore: k.store}
		k.open(bulkexport.Config{Source: slow(source), Store: deaf, MaxFileResources: 10, Runner: bulkexport.NewPool(1)})
		k.start()
		defer k.stop()
		id := k.kickOff()
		pass(25 * time.Second)
		deaf.deaf.Store(true)
		pass(10 * time.Second)
		deaf.deaf.Store(false)
		pass(4 * time.Minute)
		require.Equal(t, bulkexport.JobCompleted, k.status(id).Job.State)
		require.Equal(t, source.all("Patient"), k.lines(id))
	})
}

// TestDeletedJobGoesThoughTheClockIsPutBack: its dead worker has a lease for an hour.
func TestDeletedJobGoesThoughTheClockIsPutBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := slow(newListSource(map[string]int{"Patient": 30}))
		k := newKit(t, bulkexport.Config{Source: source})
		dying := &brokenStore{JobStore: k.store}
		k.open(bulkexport.Config{Source: source, Store: dying})
		k.start()
		id := k.kickOff()
		pass(5 * time.Second)
		dying.broken.Store(true)
		k.stop()

		k.open(bulkexport.Config{Source: source, Now: func() time.Time { return time.Now().Add(-time.Hour) }})
		k.start()
		defer k.stop()
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		pass(time.Minute)
		_, err := k.store.Job(t.Context(), id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
	})
}

package bulkexport_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// countedStore counts what is read of parts.
type countedStore struct {
	*memstore.Store
	reads atomic.Int64
}

func (s *countedStore) Parts(ctx context.Context, id string) ([]bulkexport.Part, error) {
	s.reads.Add(1)
	return s.Store.Parts(ctx, id)
}

// halfRead returns a source that stops after half of its patients, and what
// lets it go on.
func halfRead(total int) (source *listSource, goOn func()) {
	source = newListSource(map[string]int{"Patient": total})
	gate := make(chan struct{})
	source.before = func(ctx context.Context, _ string, n int) error {
		if n != total/2 {
			return nil
		}
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return source, func() { close(gate) }
}

func TestPollsReadAnewWhatHasChanged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, goOn := halfRead(20)
		store := &countedStore{Store: memstore.New()}
		k := newKit(t, bulkexport.Config{Source: countingSource{source}, Store: store})
		k.start()
		defer k.stopper()()
		id := k.kickOff()
		synctest.Wait()
		require.Zero(t, k.status(id).Progress.Done, "the first heartbeat is still to come")
		before := store.reads.Load()
		for range 10 {
			require.Equal(t, bulkexport.Progress{Done: 0, Total: 20}, k.status(id).Progress)
		}
		require.Equal(t, before, store.reads.Load(), "nothing has changed")

		pass(time.Second) // a heartbeat is shorter
		require.Equal(t, bulkexport.Progress{Done: 10, Total: 20}, k.status(id).Progress)
		goOn()
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
	})
}

// TestPollsSeeOtherProcesses polls in a process that does nothing else.
func TestPollsSeeOtherProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source, _ := halfRead(20)
		k := newKit(t, bulkexport.Config{Source: countingSource{source}})
		k.start()
		defer k.stopper()()
		synctest.Wait() // it has swept for the first time
		worker := k.exporter
		k.open(bulkexport.Config{Source: countingSource{source}})
		id := k.kickOff()
		require.Equal(t, bulkexport.JobAccepted, k.status(id).Job.State)
		require.NoError(t, worker.Sweep(t.Context()))
		synctest.Wait()
		require.Equal(t, bulkexport.JobRunning, k.status(id).Job.State)
		pass(time.Second) // a heartbeat is shorter
		require.EqualValues(t, 10, k.status(id).Progress.Done)

		bob := bulkexport.Access{Caller: bulkexport.Caller{Tenant: "north", Client: "bob"}}
		_, err := k.exporter.Status(t.Context(), bob, id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound, "what is remembered is not for everybody")
		narrow := alice
		narrow.Types = []string{"Observation"}
		_, err = k.exporter.Status(t.Context(), narrow, id)
		require.ErrorIs(t, err, bulkexport.ErrForbidden)

		require.NoError(t, worker.Delete(t.Context(), alice, id))
		_, err = k.exporter.Status(t.Context(), alice, id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
	})
}

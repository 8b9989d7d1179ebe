package bulkexport_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// clockStore is a store with a clock, which is right.
type clockStore struct {
	bulkexport.JobStore
	err   error
	asked atomic.Int64
}

func (s *clockStore) Time(context.Context) (time.Time, error) {
	s.asked.Add(1)
	return time.Now(), s.err
}

func ahead(d time.Duration) func() time.Time {
	return func() time.Time { return time.Now().Add(d) }
}

// attempts counts those at parts, from both exporters.
func attempts(n *atomic.Int64) bulkexport.Observer {
	return bulkexport.Observer{
		PartEnded: func(context.Context, bulkexport.Job, bulkexport.PartAttempt) { n.Add(1) },
	}
}

// exportByTwo has two exporters, whose clocks are 20 minutes apart, on one store
// share an export of two parts, and returns how many attempts that took, and how far the
// job seems to be from the present.
func exportByTwo(t *testing.T, store bulkexport.JobStore) (tries int64, off time.Duration) {
	t.Helper()
	source := slow(newListSource(map[string]int{"Patient": 100, "Observation": 100}))
	var n atomic.Int64
	k := newKit(t, bulkexport.Config{Source: source, Store: store, Now: ahead(-10 * time.Minute),
		Runner: bulkexport.NewPool(1), Observer: attempts(&n)})
	k.start()
	defer k.stopper()()
	id := k.kickOff()
	off = time.Since(k.status(id).Job.CreatedAt).Abs()
	pass(2 * time.Second) // it is at the first part
	k.open(bulkexport.Config{Source: source, Store: store, Now: ahead(10 * time.Minute), Observer: attempts(&n)})
	k.start()
	defer k.stopper()()
	require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
	require.Equal(t, source.all("Patient", "Observation"), k.lines(id))
	return n.Load(), off
}

func TestClockOfTheStoreCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &clockStore{JobStore: newKit(t, bulkexport.Config{Source: newListSource(nil)}).store}
		tries, off := exportByTwo(t, store)
		require.EqualValues(t, 2, tries, "nobody takes a part from the other")
		require.Zero(t, off)
		require.Less(t, store.asked.Load(), int64(200), "not for each call")
	})
}

// TestClocksApart shows what the clock of the store is good for.
func TestClocksApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newKit(t, bulkexport.Config{Source: newListSource(nil)}).store
		tries, off := exportByTwo(t, store)
		require.Greater(t, tries, int64(2), "parts are taken from who is alive, and all is there nevertheless")
		require.Equal(t, 10*time.Minute, off)
	})
}

func TestStoreWithoutClockIsAskedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3})
		store := &clockStore{
			JobStore: newKit(t, bulkexport.Config{Source: source}).store, err: errors.ErrUnsupported,
		}
		k := newKit(t, bulkexport.Config{Source: source, Store: store, Now: ahead(time.Minute)})
		k.start()
		defer k.stop()
		id := k.kickOff()
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
		pass(time.Hour)
		require.EqualValues(t, 1, store.asked.Load())
		require.Equal(t, time.Minute, time.Until(k.status(id).Job.CreatedAt).Round(time.Minute)+time.Hour)
	})
}

func TestClockIsAskedAgainAfterTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3})
		store := &clockStore{JobStore: newKit(t, bulkexport.Config{Source: source}).store, err: errGate}
		k := newKit(t, bulkexport.Config{Source: source, Store: store, Now: ahead(time.Hour)})
		early := k.status(k.kickOff()).Job
		require.Equal(t, time.Hour, time.Until(early.CreatedAt), "without an answer it is this machine's time")
		store.err = nil
		pass(time.Minute)
		later := k.status(k.kickOff()).Job
		require.Zero(t, time.Until(later.CreatedAt))
	})
}

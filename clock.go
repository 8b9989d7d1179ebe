package bulkexport

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// clock is the time that all processes on a store agree on: that of the store,
// where it has one ([StoreClock]), or else that of this machine.
type clock struct {
	local func() time.Time
	store StoreClock // nil if there is none
	// ahead is how far the store's time is ahead of the local one.
	ahead atomic.Int64
	// next is when the store is to be asked, as time since begun.
	begun time.Time
	next  atomic.Int64

	mu    sync.Mutex // held while the store is asked
	known atomic.Bool
}

const (
	// clockInterval is how often the store is asked for its time, and clockPause how
	// soon after it gave no answer.
	clockInterval = 5 * time.Second
	clockPause    = time.Second
	// clockTolerance is how far a clock may be off. A smaller difference says more
	// about the way to the store, and would have the time go to and fro.
	clockTolerance = 250 * time.Millisecond
	// clockTimeout bounds what is waited for an answer.
	clockTimeout = time.Second
)

func newClock(local func() time.Time, store StoreClock) *clock {
	c := &clock{local: local, store: store, begun: time.Now()}
	if store == nil {
		c.next.Store(math.MaxInt64)
	}
	return c
}

func (c *clock) now() time.Time {
	return c.local().Add(time.Duration(c.ahead.Load())).UTC()
}

func (c *clock) due() bool { return int64(time.Since(c.begun)) >= c.next.Load() }

// compare asks the store for its time when that is due. The first answer is what
// all wait for: with a wrong clock they would take work from each other. Later ones
// are not, and without an answer the clock is as wrong as it was.
func (c *clock) compare(ctx context.Context) {
	if !c.due() {
		return
	}
	if !c.mu.TryLock() {
		if c.known.Load() {
			return
		}
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.due() {
		pause := c.ask(ctx)
		c.next.Store(int64(time.Since(c.begun) + pause))
	}
}

// ask returns when to ask again.
func (c *clock) ask(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, clockTimeout)
	defer cancel()
	asked, began := c.local(), time.Now()
	told, err := c.store.Time(ctx)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return math.MaxInt64 / 2
	case err != nil:
		return clockPause
	}
	ahead := told.Sub(asked.Add(time.Since(began) / 2))
	if (ahead - time.Duration(c.ahead.Load())).Abs() > clockTolerance {
		c.ahead.Store(int64(ahead))
	}
	c.known.Store(true)
	return clockInterval
}

package bulkexport

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// brake slows this process's reading down while the database is slow: each worker
// rests in proportion to the time it has worked. It needs no goroutine, since a
// worker probes when it is due.
type brake struct {
	probe SourceProbe // nil if there is none
	limit time.Duration
	log   *slog.Logger
	begun time.Time
	next  atomic.Int64 // when to probe, as time since begun
	slow  atomic.Int64 // how often the pace was halved

	mu sync.Mutex // held while somebody probes
}

const (
	// probeInterval is how often the source is probed while parts are read.
	probeInterval = time.Second
	// slowest is how often the pace is halved at most: to a sixty-fourth.
	slowest = 6
	// probeTimeout bounds a probe, and longestRest what a worker rests at a time, so
	// that it is soon back where it was.
	probeTimeout = 5 * time.Second
	longestRest  = 5 * time.Second
	// breatheEvery is how many resources a worker takes before it looks at the clock.
	breatheEvery = 16
)

func newBrake(cfg Config) *brake {
	b := &brake{limit: cfg.ProbeLimit, log: cfg.Logger, begun: time.Now()}
	if cfg.ProbeLimit > 0 {
		b.probe, _ = cfg.Source.(SourceProbe)
	}
	return b
}

// check probes if that is due and nobody does.
func (b *brake) check(ctx context.Context) {
	if b.probe == nil || int64(time.Since(b.begun)) < b.next.Load() || !b.mu.TryLock() {
		return
	}
	defer b.mu.Unlock()
	took, err := b.measure(ctx)
	if ctx.Err() != nil {
		return
	}
	b.next.Store(int64(time.Since(b.begun) + probeInterval))
	was := b.slow.Load()
	is := paceAfter(was, took > b.limit || err != nil)
	b.slow.Store(is)
	switch {
	case was == 0 && is > 0:
		b.log.WarnContext(ctx, "the source is slow to answer; exports slow down", "took", took, "error", err)
	case was > 0 && is == 0:
		b.log.InfoContext(ctx, "the source answers fast again; exports read at full speed")
	}
}

func (b *brake) measure(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	began := time.Now()
	err := guard(func() error { return b.probe.Probe(ctx) })
	return time.Since(began), err
}

// paceAfter returns how often the pace is to be halved after a probe.
func paceAfter(slow int64, tooSlow bool) int64 {
	if tooSlow {
		return min(slow+1, slowest)
	}
	return max(slow-1, 0)
}

// restAfter returns how long to rest after work, so that work is its share of
// the time.
func restAfter(worked time.Duration, slow int64) time.Duration {
	return min(max(worked, 0)*(time.Duration(1)<<slow-1), longestRest)
}

// breathe is called now and then by an attempt that reads.
func (a *attempt) breathe(ctx context.Context) error {
	b := a.e.brake
	b.check(ctx)
	slow := b.slow.Load()
	if slow == 0 {
		a.breath = time.Time{}
		return nil
	}
	now := time.Now()
	if a.breath.IsZero() {
		a.breath = now
	}
	rest := restAfter(now.Sub(a.breath), slow)
	if rest < time.Millisecond {
		return nil // timers are not finer; it is taken together with the next
	}
	a.answers.Add(1) // it rests and is not hung
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
		a.breath = time.Now()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

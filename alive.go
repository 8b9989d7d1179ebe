package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// heartbeat is how long a worker may go on with a job that was deleted, or lost
// to another worker, by another process. That work stops within a second is
// what we promise, so it is less.
const heartbeat = 700 * time.Millisecond

// keepAlive runs work under a claim, and renews the claim meanwhile, however
// slowly the work goes. When the claim is lost, or could not be renewed for as
// long as it lasts, the context of work ends and the reason is what keepAlive
// returns.
func (e *Exporter) keepAlive(
	ctx context.Context,
	renew func(ctx context.Context, until time.Time) error,
	work func(ctx context.Context) error,
) error {
	working, lose := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { e.renewUntil(working, renew, lose) })
	defer renewing.Wait()
	defer lose(nil)
	err := guard(func() error { return work(working) })
	if lost := context.Cause(working); err != nil && ctx.Err() == nil && lost != nil {
		// What work says is only that it was interrupted.
		return lost
	}
	return err
}

// renewUntil renews a claim until ctx ends. It calls lose once the claim is
// lost, and ends.
func (e *Exporter) renewUntil(
	ctx context.Context, renew func(context.Context, time.Time) error, lose context.CancelCauseFunc,
) {
	ticker := time.NewTicker(min(heartbeat, e.cfg.Lease/3))
	defer ticker.Stop()
	held := e.now().Add(e.cfg.Lease)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		e.clock.compare(ctx)
		until := e.now().Add(e.cfg.Lease)
		err := e.renewOnce(ctx, renew, until, held)
		switch {
		case err == nil:
			held = until
		case ctx.Err() != nil:
			return
		case isLost(err) || !e.now().Before(held):
			lose(fmt.Errorf("renew claim: %w", err))
			return
		}
	}
}

// renewOnce gives up when the claim has lapsed: a store that does not answer must
// not keep the work waiting for its answers too.
func (e *Exporter) renewOnce(
	ctx context.Context, renew func(context.Context, time.Time) error, until, held time.Time,
) error {
	ctx, cancel := context.WithTimeout(ctx, min(max(held.Sub(e.now()), heartbeat), e.cfg.Lease))
	defer cancel()
	return guard(func() error { return renew(ctx, until) })
}

func isLost(err error) bool {
	return errors.Is(err, errJobOver) || errors.Is(err, errFenced) || errors.Is(err, ErrJobNotFound) ||
		errors.Is(err, errStalled)
}

var errStalled = errors.New("no resource for too long")

// stallWatch notices that nothing moves. It is used by one goroutine.
type stallWatch struct {
	limit time.Duration
	last  int64
	since time.Time
}

// check compares a count with that of the last call.
func (w *stallWatch) check(count int64) error {
	switch now := time.Now(); {
	case count != w.last || w.since.IsZero():
		w.last, w.since = count, now
	case now.Sub(w.since) >= w.limit:
		return fmt.Errorf("%w: none in %s", errStalled, w.limit)
	}
	return nil
}

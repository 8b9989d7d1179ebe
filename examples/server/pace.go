package main

import (
	"context"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// pacer lets one caller pass in each interval. It is safe for concurrent use.
type pacer struct {
	interval time.Duration

	mu   sync.Mutex
	next time.Time
}

// newPacer lets so many pass per second.
func newPacer(perSecond float64) *pacer {
	return &pacer{interval: time.Duration(float64(time.Second) / perSecond)}
}

// keep is a bulkexport.FilterFunc that keeps each resource, when it is its turn.
// A source that waits would do as well, but would have to pass on each of the
// abilities that the exporter looks for.
func (p *pacer) keep(ctx context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
	return resource, p.wait(ctx)
}

// wait returns when it is the caller's turn, or with the error of ctx.
func (p *pacer) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	pause := p.next.Sub(now)
	p.next = p.next.Add(p.interval)
	p.mu.Unlock()

	// A timer cannot measure less than about a millisecond: such pauses are taken
	// together with later ones.
	if pause < time.Millisecond {
		return ctx.Err()
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

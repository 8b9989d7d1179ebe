package main

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// fullSource is a source with every optional ability.
type fullSource interface {
	bulkexport.ResourceSource
	bulkexport.SourceClock
	bulkexport.SourceCounter
	bulkexport.SourceSplitter
	bulkexport.SourceConsistency
}

// pacedSource slows reading down. It overrides one method and passes the others
// on: a decorator that embedded ResourceSource alone would hide the abilities
// that the exporter looks for.
type pacedSource struct {
	fullSource
	pacer *pacer
}

// newPacedSource returns a source that yields so many resources per second, in
// all its streams together.
func newPacedSource(source fullSource, perSecond float64) *pacedSource {
	return &pacedSource{source, &pacer{interval: time.Duration(float64(time.Second) / perSecond)}}
}

// Resources implements bulkexport.ResourceSource.
func (s *pacedSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		for resource, err := range s.fullSource.Resources(ctx, q) {
			if waitErr := s.pacer.wait(ctx); waitErr != nil {
				yield(bulkexport.Resource{}, waitErr)
				return
			}
			if !yield(resource, err) {
				return
			}
		}
	}
}

// pacer lets one caller pass in each interval. It is safe for concurrent use.
type pacer struct {
	interval time.Duration

	mu   sync.Mutex
	next time.Time
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

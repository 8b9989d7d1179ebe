package main

import (
	"context"
	"sync"

	"github.com/bulkexport/bulkexport"
)

// workerPacers have each worker read at a pace of its own, as a database does that
// gives each connection so much and no more. They are safe for concurrent use.
type workerPacers struct {
	perSecond float64

	mu     sync.Mutex
	pacers map[context.Context]*pacer // by that of the attempt, which a worker has to itself
}

func newWorkerPacers(perSecond float64) *workerPacers {
	return &workerPacers{perSecond: perSecond, pacers: map[context.Context]*pacer{}}
}

// keep is a bulkexport.FilterFunc like that of pacer.
func (w *workerPacers) keep(ctx context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
	return resource, w.of(ctx).wait(ctx)
}

func (w *workerPacers) of(ctx context.Context) *pacer {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.pacers[ctx]
	if p == nil {
		p = newPacer(w.perSecond)
		w.pacers[ctx] = p
		context.AfterFunc(ctx, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.pacers, ctx)
		})
	}
	return p
}

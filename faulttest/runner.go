package faulttest

import (
	"context"

	"github.com/bulkexport/bulkexport"
)

// Runner returns the runner as the process sees it. Only Enqueue counts.
func (p *Process) Runner(inner bulkexport.Runner) bulkexport.Runner { return &runner{inner, p} }

type runner struct {
	bulkexport.Runner
	p *Process
}

// Enqueue implements [bulkexport.Runner].
func (r *runner) Enqueue(ctx context.Context, tasks ...bulkexport.Task) error {
	about := ""
	if len(tasks) > 0 {
		about = string(tasks[0].Kind)
	}
	call := Call{Seam: SeamRunner, Method: "Enqueue", About: about, Effect: true}
	return r.p.strikable(call, func(s *Strike) error {
		switch {
		case s == nil:
		case s.Kind == Forget:
			return nil
		case s.Kind == Repeat:
			tasks = append(tasks[:len(tasks):len(tasks)], tasks...)
		}
		return r.Runner.Enqueue(ctx, tasks...)
	})
}

// CancelJob implements [bulkexport.RunnerCanceler]: nothing, where the inner
// runner does not. Nothing depends on its effect, so it is no call that counts.
func (r *runner) CancelJob(ctx context.Context, jobID string) error {
	canceler, ok := r.Runner.(bulkexport.RunnerCanceler)
	if !ok || r.p.Dead() {
		return nil
	}
	return canceler.CancelJob(ctx, jobID)
}

package riverrunner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
)

// schedule is what the leader does regularly.
type schedule struct {
	name  string
	every time.Duration
	fn    func(context.Context) error
}

// Schedule implements [bulkexport.RunnerScheduler]: River's leader runs fn, at most
// once a second. Another node becomes the leader within some 15 seconds after one
// was killed, and at once after it was stopped.
func (r *Runner) Schedule(name string, every time.Duration, fn func(context.Context) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.perform != nil || r.stopped {
		return errors.New("riverrunner: Schedule comes before Start")
	}
	r.periodic = append(r.periodic, schedule{name, max(every, time.Second), fn})
	return nil
}

// startPeriodic has River call for each schedule when its time has come on the
// leader. Nothing is inserted: rows of River's would have the time of the leader's
// clock, and keep the whole fleet waiting if that is ahead.
func (r *Runner) startPeriodic(ctx context.Context) error {
	for i, s := range r.periodic {
		due := make(chan struct{}, 1)
		job := river.NewPeriodicJob(river.PeriodicInterval(s.every), func() (river.JobArgs, *river.InsertOpts) {
			select {
			case due <- struct{}{}:
			default: // it still runs
			}
			return nil, nil
		}, &river.PeriodicJobOpts{ID: fmt.Sprintf("bulkexport_%d", i), RunOnStart: true})
		if _, err := r.client.PeriodicJobs().AddSafely(job); err != nil {
			return fmt.Errorf("riverrunner: schedule %s: %w", s.name, err)
		}
		r.running.Go(func() { r.runWhenDue(ctx, s, due) })
	}
	return nil
}

func (r *Runner) runWhenDue(ctx context.Context, s schedule, due <-chan struct{}) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-due:
		}
		err := complete(func() error { return s.fn(ctx) })
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, s.name+"; it is tried again later", "error", err)
		}
	}
}

//go:build unix

package main

import (
	"context"
	"time"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// The two sides of compare.
const (
	poolName  = "workers of a process and files (s)"
	riverName = "River and S3 (s)"
	ratioName = "ratio of a round"
)

// wallGoal is how much longer River and S3 may take. It is a goal and not a violation:
// machines differ, and this is about the time.
const wallGoal = 1.25

// compare is the mode compare: the same export by turns, with as many workers.
func compare(ctx context.Context, r *rig) error {
	for i := range r.rounds + 1 {
		pool, err := r.byPool(ctx)
		if err != nil {
			return err
		}
		river, err := r.byRiver(ctx)
		if err != nil {
			return err
		}
		r.say("%.2f s by a process and files, %.2f s by River and S3", pool.Seconds(), river.Seconds())
		if i == 0 {
			continue // what was read for the first time
		}
		r.sample(poolName, pool.Seconds())
		r.sample(riverName, river.Seconds())
		r.sample(ratioName, river.Seconds()/pool.Seconds())
	}
	r.report("resources", "%d, in parts of %d", r.lines(), r.partSize())
	r.report("ratio of the medians", "%.3f (goal %v)",
		quantile(r.values(riverName), 0.5)/quantile(r.values(poolName), 0.5), wallGoal)
	return nil
}

func (r *rig) byPool(ctx context.Context) (time.Duration, error) {
	p, err := serverproc.Start(ctx, r.fleet.Command(ctx, r.single(r.partSize())...))
	if err != nil {
		return 0, err
	}
	defer p.Kill()
	took, err := r.timed(ctx, func() string { return p.BaseURL })
	if err != nil {
		return 0, err
	}
	return took, p.Terminate(ctx)
}

func (r *rig) byRiver(ctx context.Context) (time.Duration, error) {
	if err := r.startNodes(ctx, 1, r.workers, r.partSize(), nil); err != nil {
		return 0, err
	}
	defer r.stopAll(context.WithoutCancel(ctx))
	return r.timed(ctx, r.any(r.random(1)))
}

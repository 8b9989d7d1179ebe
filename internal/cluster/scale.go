//go:build unix

package main

import (
	"context"
	"fmt"
	"path"
	"time"
)

// linear is what part of linear speed more workers must give.
const linear = 0.9

// fleetOf says on how many nodes so many workers are.
func fleetOf(workers int) (nodes, each int) {
	switch {
	case workers <= 2:
		return workers, 1
	case workers == 4:
		return 2, 2
	}
	return 4, workers / 4
}

// scale is the mode scale: each worker reads at -rate, so that the machine is no
// limit.
func scale(ctx context.Context, r *rig) error {
	// Parts of a quarter of a second: the last ones, which some wait for, count little.
	size := max(int(r.rate/4), 10)
	// The first is that of one worker.
	all := []int{1, 2, 4, 8}
	for range r.rounds {
		for _, workers := range all {
			took, err := r.scaled(ctx, workers, size)
			if err != nil {
				return err
			}
			r.sample(scaleName(workers), took.Seconds())
			r.say("%d workers: %.2f s", workers, took.Seconds())
		}
	}
	one := quantile(r.values(scaleName(1)), 0.5)
	for _, workers := range all[1:] {
		share := one / quantile(r.values(scaleName(workers)), 0.5) / float64(workers)
		nodes, each := fleetOf(workers)
		r.report(fmt.Sprintf("speed of %d x %d workers, of linear", nodes, each), "%.3f", share)
		if share < linear {
			r.violate("%d workers give %.3f of linear, less than %v", workers, share, linear)
		}
	}
	r.report("each worker", "%v resources per second, %d in an export, parts of %d", r.rate, r.lines(), size)
	return nil
}

func scaleName(workers int) string { return fmt.Sprintf("an export by %d workers (s)", workers) }

// scaled returns how long one export takes.
func (r *rig) scaled(ctx context.Context, workers, size int) (time.Duration, error) {
	nodes, each := fleetOf(workers)
	err := r.startNodes(ctx, nodes, each, size, func(int) []string {
		return []string{"-rate-per-worker", fmt.Sprint(r.rate)}
	})
	if err != nil {
		return 0, err
	}
	defer r.stopAll(context.WithoutCancel(ctx))
	return r.timed(ctx, r.any(r.random(1)))
}

// timed makes an export and returns how long the servers took for it.
func (r *rig) timed(ctx context.Context, at func() string) (time.Duration, error) {
	job, err := r.kickOff(ctx, at)
	if err != nil {
		return 0, err
	}
	if _, err := r.await(ctx, job, at); err != nil {
		return 0, err
	}
	record, err := r.store.Job(ctx, path.Base(job))
	if err != nil {
		return 0, err
	}
	if err := r.remove(ctx, job, at); err != nil {
		return 0, err
	}
	return record.EndedAt.Sub(record.CreatedAt), r.awaitForgotten(ctx, job)
}

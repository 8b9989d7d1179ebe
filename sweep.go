package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sweepPage bounds how many jobs a sweep holds in memory.
const sweepPage = 100

// upkeep is what is done regularly.
type upkeep struct {
	what  string
	every time.Duration
	do    func(context.Context) error
}

func (e *Exporter) upkeep() []upkeep {
	list := []upkeep{{"sweep", e.cfg.Lease / 3, e.Sweep}}
	if _, ok := e.cfg.Sink.(SinkInventory); ok && e.cfg.CleanUpInterval > 0 {
		list = append(list, upkeep{"clean up", e.cfg.CleanUpInterval, func(ctx context.Context) error {
			_, err := e.CleanUp(ctx)
			return err
		}})
	}
	for i, u := range list {
		list[i].do = func(ctx context.Context) error { return guard(func() error { return u.do(ctx) }) }
	}
	return list
}

// runBackground does the upkeep until ctx ends: each thing by itself, since a
// clean-up may take long, and must not keep sweeps waiting.
func (e *Exporter) runBackground(ctx context.Context, list []upkeep, ended chan<- struct{}) {
	defer close(ended)
	var running sync.WaitGroup
	defer running.Wait()
	for _, u := range list {
		running.Go(func() { e.repeat(ctx, u) })
	}
}

// repeat does it at once and then regularly.
func (e *Exporter) repeat(ctx context.Context, u upkeep) {
	ticker := time.NewTicker(u.every)
	defer ticker.Stop()
	for {
		if err := u.do(ctx); err != nil && ctx.Err() == nil {
			e.log.WarnContext(ctx, u.what+"; it is tried again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Sweep looks once for work that is on nobody's list: after a restart, after a
// worker died, after an expiry. It hands what is due to the runner and does not
// wait for it. A started exporter does this by itself; Sweep is for hosts whose
// job engine has a schedule of its own. Sweeping more often than needed, and in
// several processes at once, is fine.
//
// It goes on after trouble with one job, and returns the first ten errors.
func (e *Exporter) Sweep(ctx context.Context) error {
	e.clock.compare(ctx)
	e.leases.begin()
	return errors.Join(
		e.sweepJobs(ctx, JobFilter{States: []JobState{JobAccepted, JobRunning, JobDeleted}}),
		e.sweepJobs(ctx, JobFilter{States: []JobState{JobCompleted, JobFailed}, ExpiredBy: e.now()}),
	)
}

// sweepJobs enqueues what is due for the jobs of a filter.
func (e *Exporter) sweepJobs(ctx context.Context, filter JobFilter) error {
	filter.Limit = sweepPage
	var trouble troubles
	for {
		jobs, err := e.cfg.Store.Jobs(ctx, filter)
		if err != nil {
			trouble.add(fmt.Errorf("list jobs: %w", err))
			return trouble.err()
		}
		for _, job := range jobs {
			trouble.add(e.sweepJob(ctx, job))
			filter.After = job.ID
		}
		if len(jobs) < sweepPage || ctx.Err() != nil {
			return trouble.err()
		}
	}
}

func (e *Exporter) sweepJob(ctx context.Context, job Job) error {
	var parts []Part
	if job.State == JobRunning {
		var err error
		parts, err = e.cfg.Store.Parts(ctx, job.ID)
		if errors.Is(err, ErrJobNotFound) {
			return nil // it was deleted meanwhile
		}
		if err != nil {
			return fmt.Errorf("read parts of job %s: %w", job.ID, err)
		}
	}
	e.overlook(&job, parts)
	return e.tryEnqueue(ctx, dueTasks(job, parts, e.now()))
}

// troubles are errors of work that goes on: the first ones, and how many more.
type troubles struct {
	first []error
	more  int
}

const maxTroubles = 10

func (t *troubles) add(err error) {
	switch {
	case err == nil:
	case len(t.first) < maxTroubles:
		t.first = append(t.first, err)
	default:
		t.more++
	}
}

func (t *troubles) err() error {
	err := errors.Join(t.first...)
	if t.more > 0 {
		err = fmt.Errorf("%w\nand %d more", err, t.more)
	}
	return err
}

package bulkexport

import (
	"context"
	"time"
)

// sweepPage bounds how many jobs a sweep holds in memory.
const sweepPage = 100

// sweepUntilStopped looks regularly for work that nobody has on his list:
// after a restart, after a worker died, after an expiry.
func (e *Exporter) sweepUntilStopped(ctx context.Context) {
	defer close(e.swept)
	ticker := time.NewTicker(e.cfg.Lease / 3)
	defer ticker.Stop()
	for {
		if err := guard(func() error { e.sweep(ctx); return nil }); err != nil {
			e.log.ErrorContext(ctx, "look for work", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (e *Exporter) sweep(ctx context.Context) {
	e.sweepJobs(ctx, JobFilter{States: []JobState{JobAccepted, JobRunning, JobDeleted}})
	e.sweepJobs(ctx, JobFilter{States: []JobState{JobCompleted, JobFailed}, ExpiredBy: e.now()})
}

// sweepJobs enqueues what is due for the jobs of a filter.
func (e *Exporter) sweepJobs(ctx context.Context, filter JobFilter) {
	filter.Limit = sweepPage
	for ctx.Err() == nil {
		jobs, err := e.cfg.Store.Jobs(ctx, filter)
		if err != nil {
			if ctx.Err() == nil {
				e.log.WarnContext(ctx, "list jobs; the next sweep tries again", "error", err)
			}
			return
		}
		for _, job := range jobs {
			e.sweepJob(ctx, job)
			filter.After = job.ID
		}
		if len(jobs) < sweepPage {
			return
		}
	}
}

func (e *Exporter) sweepJob(ctx context.Context, job Job) {
	var parts []Part
	if job.State == JobRunning {
		var err error
		if parts, err = e.cfg.Store.Parts(ctx, job.ID); err != nil {
			if ctx.Err() == nil {
				e.log.WarnContext(ctx, "read parts; the next sweep tries again", "job", job.ID, "error", err)
			}
			return
		}
	}
	e.enqueue(ctx, job, dueTasks(job, parts, e.now()))
}

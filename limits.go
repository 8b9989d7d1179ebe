package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// checkLimits refuses a kick-off of a caller who has enough exports running.
func (e *Exporter) checkLimits(ctx context.Context, caller Caller) error {
	if err := e.checkStorage(ctx); err != nil {
		return err
	}
	if e.cfg.MaxClientExports == 0 && e.cfg.MaxTenantExports == 0 {
		return nil
	}
	unfinished := JobFilter{States: []JobState{JobAccepted, JobRunning}, Tenant: &caller.Tenant}
	jobs, err := e.cfg.Store.Jobs(ctx, unfinished)
	if err != nil {
		return fmt.Errorf("count unfinished exports: %w", err)
	}
	var own []Job
	for _, job := range jobs {
		if job.Client == caller.Client {
			own = append(own, job)
		}
	}
	switch {
	case e.cfg.MaxClientExports > 0 && len(own) >= e.cfg.MaxClientExports:
		return e.limitError(ctx, own, "this client has as many unfinished exports as it may have")
	case e.cfg.MaxTenantExports > 0 && len(jobs) >= e.cfg.MaxTenantExports:
		return e.limitError(ctx, own, "there are as many unfinished exports as there may be")
	}
	return nil
}

// limitError says when the first of the caller's own jobs may have ended. How far
// those of others are is not for this caller to know.
func (e *Exporter) limitError(ctx context.Context, own []Job, reason string) error {
	wait := maxRetryAfter * time.Second
	for _, job := range own {
		parts, err := e.cfg.Store.Parts(ctx, job.ID)
		if err != nil {
			continue // it may have been deleted just now
		}
		wait = min(wait, retryAfter(job, progressOf(job, parts), e.now()))
	}
	return &LimitError{Reason: reason, RetryAfter: wait}
}

// checkStorage refuses a kick-off while files take as much room as they may.
func (e *Exporter) checkStorage(ctx context.Context) error {
	if e.cfg.MaxStoredBytes == 0 {
		return nil
	}
	jobs, err := e.cfg.Store.Jobs(ctx, JobFilter{States: []JobState{JobRunning, JobCompleted}})
	if err != nil {
		return fmt.Errorf("add up stored files: %w", err)
	}
	var stored int64
	for _, job := range jobs {
		size := job.Size
		if job.State == JobRunning {
			parts, err := e.cfg.Store.Parts(ctx, job.ID)
			if err != nil && !errors.Is(err, ErrJobNotFound) {
				return fmt.Errorf("add up stored files: %w", err)
			}
			size = sizeOf(parts)
		}
		stored += size
	}
	if stored < e.cfg.MaxStoredBytes {
		return nil
	}
	return &LimitError{
		Reason:     "there is no room for further exports until some expire or are deleted",
		RetryAfter: maxRetryAfter * time.Second,
	}
}

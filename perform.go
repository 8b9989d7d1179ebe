package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// recordTimeout bounds what is still written to the store after the context of
// a task has ended.
const recordTimeout = 5 * time.Second

// Perform does one task. A [Runner] calls it; it may be called any number of
// times for the same task, at once and in several processes. nil means that the
// task needs no further delivery, an error that it should come again later.
func (e *Exporter) Perform(ctx context.Context, task Task) error {
	var err error
	switch task.Kind {
	case TaskPlan:
		err = e.performPlan(ctx, task)
	case TaskPart:
		err = e.performPart(ctx, task)
	case TaskFinish:
		err = e.performFinish(ctx, task)
	case TaskDelete:
		err = e.performDelete(ctx, task)
	default:
		err = fmt.Errorf("unknown kind of task %q", task.Kind)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrJobNotFound), errors.Is(err, errJobOver), errors.Is(err, errFenced),
		errors.Is(err, errPartTaken), errors.Is(err, errPartDone):
		// Somebody else has done it, does it, or made it pointless. If that one
		// dies, the sweeper enqueues the task again.
		return nil
	case errors.Is(err, errExhausted):
		return e.failJob(ctx, task, err)
	}
	if ctx.Err() == nil {
		e.log.WarnContext(ctx, "export task", "task", task.Kind, "job", task.JobID, "part", task.Part, "error", err)
	}
	return err
}

// performPlan fixes the transactionTime, then plans: both once, however often
// it is called.
func (e *Exporter) performPlan(ctx context.Context, task Task) error {
	job, err := e.cfg.Store.UpdateJob(ctx, task.JobID, func(j *Job) error {
		return j.beginPlan(e.cfg.MaxAttempts)
	})
	if err != nil {
		return err
	}
	job, parts, err := e.plan(ctx, job)
	if err != nil {
		return e.planFailed(ctx, job, err)
	}
	e.log.InfoContext(ctx, "export planned", "job", job.ID, "parts", len(parts),
		"transactionTime", job.TransactionTime, "consistency", job.Consistency)
	e.enqueue(ctx, job, dueTasks(job, parts, e.now()))
	return nil
}

func (e *Exporter) plan(ctx context.Context, job Job) (Job, []Part, error) {
	store := e.cfg.Store
	at, err := e.transactionTime(ctx, job)
	if err != nil {
		return job, nil, fmt.Errorf("read transaction time: %w", err)
	}
	fixed, err := store.UpdateJob(ctx, job.ID, func(j *Job) error {
		return j.fixTime(at, e.consistency())
	})
	if err != nil {
		return job, nil, err
	}
	planned, err := e.makePlan(ctx, fixed)
	if err != nil {
		return job, nil, err
	}
	if err := store.SetParts(ctx, job.ID, planned); err != nil {
		return job, nil, fmt.Errorf("store plan: %w", err)
	}
	running, err := store.UpdateJob(ctx, job.ID, func(j *Job) error { return j.run(e.now()) })
	if err != nil {
		return job, nil, err
	}
	parts, err := store.Parts(ctx, job.ID)
	return running, parts, err
}

func (e *Exporter) transactionTime(ctx context.Context, job Job) (time.Time, error) {
	clock, ok := e.cfg.Source.(SourceClock)
	if !ok || !job.TransactionTime.IsZero() {
		return e.now(), nil
	}
	return clock.TransactionTime(ctx, job.Tenant)
}

func (e *Exporter) consistency() Consistency {
	if declared, ok := e.cfg.Source.(SourceConsistency); ok {
		return declared.Consistency()
	}
	return Bounded
}

// planFailed settles an attempt to plan that came to nothing: one that was
// interrupted does not count, the last one fails the job.
func (e *Exporter) planFailed(ctx context.Context, job Job, cause error) error {
	if ctx.Err() != nil {
		record, cancel := e.recording(ctx)
		defer cancel()
		_, err := e.cfg.Store.UpdateJob(record, job.ID, func(j *Job) error {
			if j.State == JobAccepted && j.Failures > 0 {
				j.Failures--
			}
			return nil
		})
		return errors.Join(cause, err)
	}
	if job.Failures >= e.cfg.MaxAttempts {
		return fmt.Errorf("%w: %w", errExhausted, cause)
	}
	return cause
}

// recording returns a context for updates that must be made although ctx may
// have ended.
func (e *Exporter) recording(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
}

// performFinish completes a job whose parts are all done.
func (e *Exporter) performFinish(ctx context.Context, task Task) error {
	parts, err := e.cfg.Store.Parts(ctx, task.JobID)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if !part.Done {
			return nil
		}
	}
	job, err := e.cfg.Store.UpdateJob(ctx, task.JobID, func(j *Job) error {
		return j.complete(e.now(), e.cfg.TTL)
	})
	if err != nil {
		return err
	}
	e.logCompleted(ctx, job, parts)
	e.cfg.Observer.jobEnded(ctx, job)
	return nil
}

func (e *Exporter) logCompleted(ctx context.Context, job Job, parts []Part) {
	var processed, dropped, failed int64
	for _, part := range parts {
		processed += part.Processed
		dropped += part.Dropped
		failed += part.Errors
	}
	e.log.InfoContext(ctx, "export completed", "job", job.ID, "files", len(OutputFiles(parts)),
		"processed", processed, "dropped", dropped, "errors", failed, "took", job.EndedAt.Sub(job.CreatedAt))
}

// failJob ends a job whose attempts are used up. The reason is for the client
// and says no more than which step it was. Files go at once: nobody can have
// them, and what failed may have been a full disk.
func (e *Exporter) failJob(ctx context.Context, task Task, cause error) error {
	reason := "The export could not be planned."
	if task.Kind == TaskPart {
		reason = "The export failed while writing its files."
		if parts, err := e.cfg.Store.Parts(ctx, task.JobID); err == nil && task.Part < len(parts) {
			reason = fmt.Sprintf("The export failed while writing %s resources.", parts[task.Part].Type)
		}
	}
	job, err := e.cfg.Store.UpdateJob(ctx, task.JobID, func(j *Job) error {
		return j.fail(reason, e.now(), e.cfg.TTL)
	})
	if errors.Is(err, errJobOver) || errors.Is(err, ErrJobNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("record failure: %w", err)
	}
	e.log.ErrorContext(ctx, "export failed", "job", job.ID, "reason", reason, "error", cause)
	e.cfg.Observer.jobEnded(ctx, job)
	if err := e.cfg.Sink.DeleteJob(ctx, job.ID); err != nil {
		e.log.WarnContext(ctx, "delete files of failed export", "job", job.ID, "error", err)
	}
	e.cancelTasks(ctx, job.ID)
	return nil
}

// performDelete removes the files of a deleted or expired job, and its record
// once no attempt is left that could still bring a file.
func (e *Exporter) performDelete(ctx context.Context, task Task) error {
	job, err := e.cfg.Store.UpdateJob(ctx, task.JobID, func(j *Job) error {
		switch {
		case j.State == JobDeleted:
			return nil
		case j.expired(e.now()):
			return j.markDeleted(e.now())
		}
		return errJobOver
	})
	if err != nil {
		return err
	}
	parts, err := e.cfg.Store.Parts(ctx, job.ID)
	if err != nil {
		return err
	}
	if err := e.cfg.Sink.DeleteJob(ctx, job.ID); err != nil {
		return fmt.Errorf("delete files: %w", err)
	}
	if !abandoned(parts, e.now()) {
		return nil
	}
	if err := e.cfg.Store.DeleteJob(ctx, job.ID); err != nil {
		return fmt.Errorf("delete job: %w", err)
	}
	e.log.InfoContext(ctx, "export removed", "job", job.ID)
	return nil
}

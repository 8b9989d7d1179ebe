package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/samber/lo"
)

// recordTimeout bounds what is still written to the store after the context of
// a task has ended.
const recordTimeout = 5 * time.Second

// Perform does one task. A [Runner] calls it; it may be called any number of
// times for the same task, at once and in several processes. nil means that the
// task needs no further delivery, an error that it should come again later.
//
// A panic of the host's code is an error, not the end of the process. When ctx
// is cancelled the attempt is not counted; when its deadline passes, it is.
func (e *Exporter) Perform(ctx context.Context, task Task) error {
	err := guard(func() error { return e.perform(ctx, task) })
	var foreign *hostError
	switch {
	case err == nil:
		return nil
	case endsJob(err):
		return guard(func() error { return e.failJob(ctx, task, err) })
	case errors.As(err, &foreign):
		// Whatever else it says, it does not come from our store.
	case errors.Is(err, ErrJobNotFound), errors.Is(err, errJobOver), errors.Is(err, errFenced),
		errors.Is(err, errTaken), errors.Is(err, errPartDone):
		// Somebody else has done it, does it, or made it pointless. If that one
		// dies, the sweeper enqueues the task again.
		return nil
	case errors.Is(err, errTooEarly):
		return err
	}
	if ctx.Err() == nil {
		e.log.WarnContext(ctx, "export task", "task", task.Kind, "job", task.JobID, "part", task.Part, "error", err)
	}
	return err
}

func (e *Exporter) perform(ctx context.Context, task Task) error {
	e.clock.compare(ctx)
	switch task.Kind {
	case TaskPlan:
		return e.performPlan(ctx, task)
	case TaskPart:
		return e.performPart(ctx, task)
	case TaskFinish:
		return e.performFinish(ctx, task)
	case TaskDelete:
		return e.performDelete(ctx, task)
	}
	return fmt.Errorf("unknown kind of task %q", task.Kind)
}

// performPlan fixes the transactionTime, then plans: both once, however often
// it is called.
func (e *Exporter) performPlan(ctx context.Context, task Task) error {
	job, err := e.cfg.Store.UpdateJob(ctx, task.JobID, func(j *Job) error {
		if e.leases.ignored(planLease(*j), j.LeaseUntil, e.cfg.Lease) {
			j.LeaseUntil = time.Time{}
		}
		return j.beginPlan(e.now(), e.cfg.Lease, e.cfg.MaxAttempts)
	})
	if err != nil {
		return err
	}
	planned, parts, err := e.planAlive(ctx, job)
	if err != nil {
		return e.planFailed(ctx, job, err)
	}
	e.log.InfoContext(ctx, "export planned", "job", planned.ID, "parts", len(parts),
		"transactionTime", planned.TransactionTime, "consistency", planned.Consistency)
	e.enqueue(ctx, planned, dueTasks(planned, parts, e.now()))
	return nil
}

// planAlive plans and keeps the claim meanwhile.
func (e *Exporter) planAlive(ctx context.Context, job Job) (planned Job, parts []Part, err error) {
	var steps atomic.Int64
	stall := stallWatch{limit: e.cfg.StallTimeout}
	err = e.keepAlive(ctx, func(ctx context.Context, until time.Time) error {
		if err := stall.check(steps.Load()); err != nil {
			return err
		}
		_, err := e.cfg.Store.UpdateJob(ctx, job.ID, func(j *Job) error {
			return j.renewPlan(job.Attempt, until)
		})
		return err
	}, func(ctx context.Context) error {
		planned, parts, err = e.plan(ctx, job, func() { steps.Add(1) })
		return err
	})
	return planned, parts, err
}

// plan calls step whenever the source has answered.
func (e *Exporter) plan(ctx context.Context, job Job, step func()) (Job, []Part, error) {
	store := e.cfg.Store
	at, err := e.transactionTime(ctx, job)
	if err != nil {
		return job, nil, err
	}
	fixed, err := store.UpdateJob(ctx, job.ID, func(j *Job) error {
		return j.fixTime(job.Attempt, at, e.consistency())
	})
	if err != nil {
		return job, nil, err
	}
	step()
	planned, err := e.makePlan(ctx, fixed, step)
	if err != nil {
		return job, nil, err
	}
	if err := store.SetParts(ctx, job.ID, planned); err != nil {
		return job, nil, fmt.Errorf("store plan: %w", err)
	}
	running, err := store.UpdateJob(ctx, job.ID, func(j *Job) error { return j.run(job.Attempt, e.now()) })
	if err != nil || job.Attempt == 1 {
		return running, planned, err
	}
	// An earlier attempt may have stored its plan, which stays.
	parts, err := store.Parts(ctx, job.ID)
	return running, parts, err
}

func (e *Exporter) transactionTime(ctx context.Context, job Job) (time.Time, error) {
	clock, ok := e.cfg.Source.(SourceClock)
	if !ok || !job.TransactionTime.IsZero() {
		return e.now(), nil
	}
	at, err := clock.TransactionTime(ctx, job.Tenant)
	if err == nil && at.IsZero() {
		err = errors.New("the source gave none")
	}
	if err != nil {
		return at, sourceFault("read transaction time: %w", err)
	}
	return at, nil
}

func (e *Exporter) consistency() Consistency {
	if declared, ok := e.cfg.Source.(SourceConsistency); ok {
		return declared.Consistency()
	}
	return Bounded
}

// planFailed gives the plan back after an attempt that came to nothing. The
// last one fails the job.
func (e *Exporter) planFailed(ctx context.Context, job Job, cause error) error {
	failed := isFailure(ctx)
	record, cancel := e.recording(ctx)
	defer cancel()
	released, err := e.cfg.Store.UpdateJob(record, job.ID, func(j *Job) error {
		if err := j.holdPlan(job.Attempt); err != nil {
			return err
		}
		j.release(e.now(), failed)
		return nil
	})
	switch {
	case err != nil:
		return errors.Join(err, cause)
	case failed:
		return e.lastWord(released.Failures, cause)
	}
	return cause
}

// isFailure reports whether an attempt that ended early counts: unless it was
// told to stop, it does, also when an engine's time-out was too short for it.
func isFailure(ctx context.Context) bool { return !errors.Is(ctx.Err(), context.Canceled) }

// recording returns a context for updates that must be made although ctx may
// have ended.
func (e *Exporter) recording(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
}

// performFinish completes a job whose parts are all done. Nothing changes these
// any more.
func (e *Exporter) performFinish(ctx context.Context, task Task) error {
	parts, err := e.cfg.Store.Parts(ctx, task.JobID)
	switch {
	case err != nil:
		return err
	case len(parts) == 0:
		return e.finishEmpty(ctx, task.JobID)
	case slices.ContainsFunc(parts, func(p Part) bool { return !p.Done }):
		return e.finishOpen(ctx, task.JobID)
	}
	return e.complete(ctx, task.JobID, parts)
}

// finishOpen is for a job with something still to be done.
func (e *Exporter) finishOpen(ctx context.Context, jobID string) error {
	job, err := e.cfg.Store.Job(ctx, jobID)
	if err == nil && job.overdue(e.now()) {
		err = errOverdue
	}
	return err
}

// finishEmpty completes a job that has no parts, but not one that has none yet:
// the parts of a job that was seen to run are stored.
func (e *Exporter) finishEmpty(ctx context.Context, jobID string) error {
	job, err := e.cfg.Store.Job(ctx, jobID)
	switch {
	case err != nil:
		return err
	case job.State == JobAccepted:
		return e.finishOpen(ctx, jobID)
	}
	parts, err := e.cfg.Store.Parts(ctx, jobID)
	if err != nil || len(parts) > 0 {
		return err
	}
	return e.complete(ctx, jobID, parts)
}

func (e *Exporter) complete(ctx context.Context, jobID string, parts []Part) error {
	late, size, resources := lateErrors(parts), sizeOf(parts), resourcesIn(parts)
	job, err := e.cfg.Store.UpdateJob(ctx, jobID, func(j *Job) error {
		if late && !j.PublishedAt.IsZero() {
			return errLateError
		}
		return j.complete(size, resources, e.now(), e.cfg.TTL)
	})
	if err != nil {
		return err
	}
	e.logCompleted(ctx, job, parts)
	e.cfg.Observer.jobEnded(ctx, job)
	e.dropUnnamed(ctx, job, parts)
	return nil
}

// sizeOf returns the length of all files.
func sizeOf(parts []Part) int64 {
	return lo.SumBy(parts, func(p Part) int64 {
		return lo.SumBy(p.Files, func(f File) int64 { return f.StoredSize() })
	})
}

// resourcesIn counts what was exported.
func resourcesIn(parts []Part) int64 {
	return lo.SumBy(parts, func(p Part) int64 {
		if p.Kind == PartDeletions || p.Kind == PartNotices {
			return 0
		}
		return p.Processed - p.Dropped - p.Errors
	})
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

// performDelete removes the files of a deleted or expired job, and its record
// once no attempt is left that could still bring a file.
func (e *Exporter) performDelete(ctx context.Context, task Task) error {
	job, err := e.cfg.Store.UpdateJob(ctx, task.JobID, func(j *Job) error {
		switch {
		case j.State == JobDeleted:
			return nil
		case j.removable(e.now()):
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
		return sinkFault("delete files: %w", err)
	}
	e.overlook(&job, parts)
	if !abandoned(parts, e.now()) {
		return nil
	}
	if err := e.cfg.Store.DeleteJob(ctx, job.ID); err != nil {
		return fmt.Errorf("delete job: %w", err)
	}
	e.log.InfoContext(ctx, "export removed", "job", job.ID)
	return nil
}

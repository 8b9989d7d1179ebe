package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errYield ends an attempt whose slice of time is over, at the end of a file.
var errYield = errors.New("slice is over")

// performPart makes one attempt at a part: it claims it, writes from where the
// committed files end, and commits file by file.
func (e *Exporter) performPart(ctx context.Context, task Task) error {
	began := time.Now()
	var job Job
	part, err := e.cfg.Store.UpdatePart(ctx, task.JobID, task.Part, func(j Job, p *Part) error {
		job = j
		return p.claim(j, e.now(), e.cfg.Lease, e.cfg.MaxAttempts)
	})
	if err != nil {
		return err
	}
	a := e.newAttempt(job, part)
	err = a.run(ctx)
	if errors.Is(err, errYield) {
		err = nil
	}
	e.cfg.Observer.partEnded(ctx, job, PartAttempt{Part: a.part, Took: time.Since(began), Err: err})
	if a.part.Done {
		return e.finishIfLast(ctx, task)
	}
	return e.endAttempt(ctx, task, a, err)
}

// finishIfLast enqueues the finish once no part is open. Between processes two
// may see that at once; finishing is done by one.
func (e *Exporter) finishIfLast(ctx context.Context, task Task) error {
	job, err := e.cfg.Store.Job(ctx, task.JobID)
	if err != nil {
		return err
	}
	parts, err := e.cfg.Store.Parts(ctx, task.JobID)
	if err != nil {
		return err
	}
	if tasks := dueTasks(job, parts, e.now()); len(tasks) == 1 && tasks[0].Kind == TaskFinish {
		e.enqueue(ctx, job, tasks)
	}
	return nil
}

// endAttempt gives the part back. An attempt that yielded or was told to stop
// does not count as a failure; the last one that does fails the job.
func (e *Exporter) endAttempt(ctx context.Context, task Task, a *attempt, cause error) error {
	failed := cause != nil && ctx.Err() == nil
	record, cancel := e.recording(ctx)
	defer cancel()
	var job Job
	part, err := e.cfg.Store.UpdatePart(record, task.JobID, task.Part, func(j Job, p *Part) error {
		job = j
		return p.release(a.number, failed)
	})
	if job.State == JobDeleted {
		e.enqueue(record, job, dueTasks(job, nil, e.now()))
	}
	switch {
	case err != nil:
		return errors.Join(cause, err)
	case cause == nil:
		e.enqueue(ctx, a.job, []Task{task})
	case failed && part.Failures >= e.cfg.MaxAttempts:
		return fmt.Errorf("%w: %w", errExhausted, cause)
	}
	return cause
}

// attempt writes the files of a part. The fields up to seen are shared with the
// heartbeat, all others belong to the goroutine that runs it.
type attempt struct {
	e      *Exporter
	job    Job
	index  int // of the part
	number int // of the attempt
	seen   atomic.Int64

	part     Part // as stored last
	deadline time.Time
	line     pipeline
	output   *outputStream
	errors   *outputStream
	add      partProgress
}

func (e *Exporter) newAttempt(job Job, part Part) *attempt {
	a := &attempt{
		e: e, job: job, index: part.Index, number: part.Attempt, part: part,
		deadline: e.now().Add(e.cfg.Slice),
		line:     pipeline{job: job, resourceType: part.Type, filter: e.cfg.Filter},
	}
	a.output = newOutputStream(e.cfg, job.ID, part, FileOutput)
	a.errors = newOutputStream(e.cfg, job.ID, part, FileError)
	a.seen.Store(part.Processed)
	return a
}

// run writes until the part is done, the slice is over (errYield), or something
// fails. Meanwhile the heartbeat keeps the claim and ends run when it is lost.
func (a *attempt) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer a.heartbeat(ctx, cancel)()
	defer a.abort(ctx)

	err := a.write(ctx)
	if lost := context.Cause(ctx); err != nil && lost != nil {
		return errors.Join(lost, err)
	}
	return err
}

// abort throws away the files that were not committed.
func (a *attempt) abort(ctx context.Context) {
	if err := errors.Join(a.output.abort(), a.errors.abort()); err != nil {
		a.e.log.WarnContext(ctx, "abort file", "job", a.job.ID, "part", a.index, "error", err)
	}
}

func (a *attempt) write(ctx context.Context) error {
	q := queryFor(a.job, a.part.Type)
	q.After, q.UpTo = a.part.After, a.part.UpTo
	if a.part.Cursor != nil {
		q.After = a.part.Cursor
	}
	for resource, err := range a.e.cfg.Source.Resources(ctx, q) {
		if err := a.take(ctx, resource, err); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		// A source that takes a cancelled read for a finished one must not make
		// the part look finished.
		return err
	}
	return a.commit(ctx, true)
}

// take writes one resource, or notes why it is not written. Files that are full
// are committed first, so that a commit always ends between two resources.
func (a *attempt) take(ctx context.Context, resource Resource, err error) error {
	var line []byte
	if err == nil && len(resource.Key) == 0 {
		err = errors.New("the source gave a resource without a key")
	}
	if err == nil {
		line, err = a.line.line(ctx, resource.JSON)
	}
	stream := a.output
	var fault *ResourceError
	switch {
	case errors.As(err, &fault):
		stream = a.errors
		if line, err = outcomeLine(fault); err != nil {
			return err
		}
	case err != nil && !errors.Is(err, errDropped):
		return fmt.Errorf("read %s: %w", a.part.Type, err)
	}
	if line != nil {
		if err := a.put(ctx, stream, line); err != nil {
			return err
		}
	}
	switch {
	case fault != nil:
		a.add.errors++
	case line == nil:
		a.add.dropped++
	}
	a.add.processed++
	a.add.cursor = append(a.add.cursor[:0], resource.Key...)
	a.seen.Add(1)
	return nil
}

func (a *attempt) put(ctx context.Context, stream *outputStream, line []byte) error {
	if !stream.fits(len(line)) {
		if err := a.commit(ctx, false); err != nil {
			return err
		}
		if !a.e.now().Before(a.deadline) {
			return errYield
		}
	}
	return stream.write(ctx, line)
}

// commit makes what was written since the last commit part of the export: the
// files in the sink first, then files and cursor in one update of the store. A
// process that dies in between leaves files that nothing names.
func (a *attempt) commit(ctx context.Context, done bool) error {
	for _, stream := range []*outputStream{a.output, a.errors} {
		file, err := stream.commit()
		if err != nil {
			return err
		}
		if file.Count > 0 {
			a.add.files = append(a.add.files, file)
		}
	}
	a.add.done = done
	part, err := a.e.cfg.Store.UpdatePart(ctx, a.job.ID, a.index, func(j Job, p *Part) error {
		return p.commit(j, a.number, a.add, a.e.now().Add(a.e.cfg.Lease))
	})
	if err != nil {
		return fmt.Errorf("record files: %w", err)
	}
	a.e.cfg.Observer.filesCommitted(ctx, a.job, slices.Clone(a.add.files))
	a.part = part
	a.add = partProgress{cursor: a.add.cursor[:0]}
	return nil
}

// heartbeat renews the claim and records progress, independently of how fast
// the work goes. It calls lost with the reason once the attempt must end. The
// function that it returns stops it and waits for it.
func (a *attempt) heartbeat(ctx context.Context, lost context.CancelCauseFunc) func() {
	lease := a.e.cfg.Lease
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(min(time.Second, lease/3))
		defer ticker.Stop()
		held := a.e.now().Add(lease)
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			until := a.e.now().Add(lease)
			switch err := a.renew(ctx, until); {
			case err == nil:
				held = until
			case ctx.Err() != nil:
				return
			case isLost(err) || !a.e.now().Before(held):
				lost(err)
				return
			}
		}
	})
	return func() {
		lost(nil)
		done.Wait()
	}
}

func (a *attempt) renew(ctx context.Context, until time.Time) error {
	_, err := a.e.cfg.Store.UpdatePart(ctx, a.job.ID, a.index, func(j Job, p *Part) error {
		return p.renew(j, a.number, a.seen.Load(), until)
	})
	return err
}

func isLost(err error) bool {
	return errors.Is(err, errJobOver) || errors.Is(err, errFenced) || errors.Is(err, ErrJobNotFound)
}

package bulkexport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// errYield ends an attempt whose slice of time is over.
var errYield = errors.New("slice is over")

// performPart makes one attempt at a part: it claims it, writes from where the
// committed files end, and commits file by file.
func (e *Exporter) performPart(ctx context.Context, task Task) error {
	began := time.Now()
	var job Job
	part, err := e.cfg.Store.UpdatePart(ctx, task.JobID, task.Part, func(j Job, p *Part) error {
		job = j
		if e.leases.ignored(partLease(j.ID, *p), p.LeaseUntil, e.cfg.Lease) {
			p.LeaseUntil = time.Time{}
		}
		return p.claim(j, e.now(), e.cfg.Lease, e.cfg.MaxAttempts)
	})
	if err != nil {
		return err
	}
	a := e.newAttempt(job, part)
	err = e.keepAlive(ctx, a.renew, a.run)
	if errors.Is(err, errYield) {
		err = nil
	}
	e.cfg.Observer.partEnded(ctx, job, PartAttempt{Part: a.part, Took: time.Since(began), Err: err})
	if a.part.Done {
		// Whether it was the last one is for the finish to find out, once and not
		// after each part: it waits behind those that are queued.
		e.enqueue(ctx, job, []Task{{Kind: TaskFinish, JobID: task.JobID, Tenant: task.Tenant}})
		return nil
	}
	return e.endAttempt(ctx, task, a, err)
}

// endAttempt gives the part back. An attempt that yielded or was told to stop
// does not count as a failure; the last one that does fails the job.
func (e *Exporter) endAttempt(ctx context.Context, task Task, a *attempt, cause error) error {
	failed := cause != nil && isFailure(ctx)
	record, cancel := e.recording(ctx)
	defer cancel()
	var job Job
	part, err := e.cfg.Store.UpdatePart(record, task.JobID, task.Part, func(j Job, p *Part) error {
		job = j
		return p.giveBack(a.number, e.now(), failed)
	})
	e.clearAfter(record, a, job, err)
	switch {
	case err != nil:
		return errors.Join(err, cause)
	case cause == nil:
		e.enqueue(ctx, a.job, []Task{task})
	case failed && job.State == JobRunning:
		return e.lastWord(part.Failures, cause)
	}
	return cause
}

// clearAfter sees to it that an attempt which is not the last one any more, or
// whose job has ended meanwhile, does not leave a file that came too late for
// those who removed the others.
func (e *Exporter) clearAfter(ctx context.Context, a *attempt, job Job, err error) {
	switch {
	case errors.Is(err, ErrJobNotFound), job.State == JobFailed:
		e.dropFiles(ctx, a.job.ID)
	case job.State == JobDeleted:
		e.enqueue(ctx, job, dueTasks(job, nil, e.now()))
	case errors.Is(err, errFenced) && len(a.add.files) > 0:
		e.dropOrphans(ctx, a.job.ID)
	}
}

// attempt writes the files of a part. The fields up to stall are shared with
// the heartbeat, all others belong to the goroutine that runs it.
type attempt struct {
	e      *Exporter
	job    Job
	index  int // of the part
	number int // of the attempt
	seen   atomic.Int64
	// answers counts what the source has said besides resources of the part: it
	// is not hung.
	answers atomic.Int64
	stall   stallWatch

	part     Part // as stored last
	deadline time.Time
	breath   time.Time            // when it began to work, after a rest; zero at full speed
	lines    map[string]*pipeline // by resource type
	output   *outputStream
	errors   *outputStream
	add      partProgress
}

func (e *Exporter) newAttempt(job Job, part Part) *attempt {
	a := &attempt{
		e: e, job: job, index: part.Index, number: part.Attempt, part: part,
		stall:    stallWatch{limit: e.cfg.StallTimeout},
		deadline: e.now().Add(e.cfg.Slice),
		lines:    map[string]*pipeline{},
	}
	kind, resourceType := FileOutput, part.Type
	switch part.Kind {
	case PartDeletions:
		kind, resourceType = FileDeleted, bundleType
	case PartBlocks:
		resourceType = ""
	case PartResources, PartProvenance, PartNotices:
	}
	a.output = newOutputStream(e.cfg, job.ID, part, File{Kind: kind, Type: resourceType})
	a.errors = newOutputStream(e.cfg, job.ID, part, File{Kind: FileError, Type: outcomeType})
	a.add.cursor = slices.Clone(part.Cursor)
	a.seen.Store(part.Processed)
	return a
}

// renew keeps the claim and records progress.
func (a *attempt) renew(ctx context.Context, until time.Time) error {
	seen := a.seen.Load()
	if err := a.stall.check(seen + a.answers.Load()); err != nil {
		return err
	}
	_, err := a.e.cfg.Store.UpdatePart(ctx, a.job.ID, a.index, func(j Job, p *Part) error {
		return p.renew(j, a.number, seen, until)
	})
	return err
}

// run writes until the part is done, the slice is over (errYield), or something
// fails.
func (a *attempt) run(ctx context.Context) error {
	defer a.abort(ctx)
	if err := a.read(ctx); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		// A source that takes a cancelled read for a finished one must not make
		// the part look finished.
		return err
	}
	return a.commit(ctx, true)
}

func (a *attempt) read(ctx context.Context) error {
	switch a.part.Kind {
	case PartNotices:
		return a.writeNotices(ctx)
	case PartDeletions:
		return a.readDeletions(ctx)
	case PartBlocks:
		return a.readBlocks(ctx)
	case PartResources, PartProvenance:
	}
	return a.readResources(ctx)
}

// query returns the query for what is still to be read.
func (a *attempt) query() Query {
	q := a.e.queryFor(a.job, a.part)
	if a.part.Cursor != nil {
		q.After = a.part.Cursor
	}
	return q
}

// source returns what the part reads from.
func (a *attempt) source() ResourceSource {
	if a.part.Associated != "" {
		return a.e.cfg.AssociatedData[a.part.Associated]
	}
	return a.e.cfg.Source
}

func (a *attempt) readResources(ctx context.Context) error {
	line, err := a.pipeline(a.part.Type)
	if err != nil {
		return err
	}
	source := a.source()
	if source == nil {
		return sourceFault("read %s: there is no associated data %s any more", a.part.Type, a.part.Associated)
	}
	judge := line.line
	if a.part.Kind == PartProvenance {
		judge = a.newProvenance(line).line
	}
	for resource, err := range source.Resources(ctx, a.query()) {
		if err := a.take(ctx, resource, err, judge); err != nil {
			return err
		}
	}
	return nil
}

// pipeline returns the pipeline of a type.
func (a *attempt) pipeline(resourceType string) (*pipeline, error) {
	if p := a.lines[resourceType]; p != nil {
		return p, nil
	}
	p, err := a.e.newPipeline(a.job, a.part, resourceType)
	if err == nil {
		a.lines[resourceType] = p
	}
	return p, err
}

// abort throws away the files that were not committed.
func (a *attempt) abort(ctx context.Context) {
	if err := errors.Join(a.output.abort(), a.errors.abort()); err != nil {
		a.e.log.WarnContext(ctx, "abort file", "job", a.job.ID, "part", a.index, "error", err)
	}
}

// take writes one resource, or notes why it is not written. Files that are full
// are committed first, so that a commit always ends between two resources. As
// many resources without a line as fit a file lead to a commit too, lest a
// filter that drops all makes the attempt endless.
func (a *attempt) take(ctx context.Context, resource Resource, err error, judge judgeFunc) error {
	if a.add.processed%breatheEvery == 0 {
		if err := a.breathe(ctx); err != nil {
			return err
		}
	}
	if a.add.passed >= a.e.cfg.MaxFileResources {
		if err := a.commitAndGoOn(ctx); err != nil {
			return err
		}
	}
	found, err := a.judge(ctx, resource, err, judge)
	if err != nil {
		return err
	}
	switch {
	case found.fault != nil:
		err = a.put(ctx, a.errors, outcomeLine(faultIssue(found.fault)))
	case found.line != nil:
		err = a.put(ctx, a.output, found.line)
	}
	if err != nil {
		return err
	}
	// Counted only now: put may have committed what was before.
	a.count(found)
	a.add.cursor = append(a.add.cursor[:0], resource.Key...)
	return nil
}

// judgeFunc says what becomes of a resource. An error is none of the resource: it
// ends the attempt.
type judgeFunc func(context.Context, Resource) (verdict, error)

// judge returns what becomes of what the source has yielded.
func (a *attempt) judge(ctx context.Context, r Resource, err error, judge judgeFunc) (verdict, error) {
	var fault *ResourceError
	if err != nil {
		if fault = resourceError(err); fault == nil {
			return verdict{}, sourceFault("read %s: %w", a.part.Type, err)
		}
	}
	switch {
	case len(r.Key) == 0:
		return verdict{}, sourceFault("read %s: a resource has no key", a.part.Type)
	case a.part.Kind != PartBlocks && bytes.Equal(r.Key, a.add.cursor):
		return verdict{}, sourceFault("read %s: two resources have the same key", a.part.Type)
	case fault != nil:
		return verdict{fault: fault}, nil //nolint:nilerr // it concerns the resource only
	}
	return judge(ctx, r)
}

// resourceError returns nil if err is about more than one resource. It is a
// function of its own since its variable is allocated.
func resourceError(err error) (fault *ResourceError) {
	_ = errors.As(err, &fault)
	return fault
}

// count counts a resource that is dealt with.
func (a *attempt) count(found verdict) {
	switch {
	case found.fault != nil:
		a.add.errors++
		a.errors.countIssue(severityError)
	case found.dropped:
		a.add.dropped++
		a.add.passed++
	case found.line == nil:
		a.add.passed++
	}
	a.add.processed++
	a.seen.Add(1)
}

func (a *attempt) put(ctx context.Context, stream *outputStream, line []byte) error {
	if !stream.fits(len(line)) {
		if err := a.commitAndGoOn(ctx); err != nil {
			return err
		}
	}
	return stream.write(ctx, line)
}

// putError writes a line of an error file without a commit in between.
func (a *attempt) putError(ctx context.Context, line []byte) error {
	if !a.errors.fits(len(line)) {
		if err := a.end(a.errors); err != nil {
			return err
		}
	}
	return a.errors.write(ctx, line)
}

// commitAndGoOn commits, and says errYield when it is somebody else's turn.
func (a *attempt) commitAndGoOn(ctx context.Context) error {
	if err := a.commit(ctx, false); err != nil {
		return err
	}
	if !a.e.now().Before(a.deadline) {
		return errYield
	}
	return nil
}

// commit makes what was written since the last commit part of the export: the
// files in the sink first, then files and cursor in one update of the store. A
// process that dies in between leaves files that nothing names.
func (a *attempt) commit(ctx context.Context, done bool) error {
	for _, stream := range []*outputStream{a.output, a.errors} {
		if err := a.end(stream); err != nil {
			return err
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
	a.add = partProgress{cursor: a.add.cursor}
	return nil
}

// end completes the file that is being written, if any. It becomes part of the
// export with the next commit.
func (a *attempt) end(stream *outputStream) error {
	file, err := stream.commit()
	if err != nil {
		return err
	}
	if file.Count > 0 {
		a.add.files = append(a.add.files, file)
	}
	return nil
}

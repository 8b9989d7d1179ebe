package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// hostError is trouble that the host's source, sink or hooks report. It is told
// apart with it from what the store says, which may be that all is well.
type hostError struct {
	side side
	err  error
}

func (e *hostError) Error() string { return e.err.Error() }
func (e *hostError) Unwrap() error { return e.err }

// side is where trouble comes from.
type side int

const (
	sideHooks side = iota
	sideSource
	sideSink
)

func hookFault(format string, args ...any) error {
	return &hostError{sideHooks, fmt.Errorf(format, args...)}
}

func sourceFault(format string, args ...any) error {
	return &hostError{sideSource, fmt.Errorf(format, args...)}
}

func sinkFault(format string, args ...any) error {
	return &hostError{sideSink, fmt.Errorf(format, args...)}
}

// guard makes an error of a panic, so that one resource which the host's code
// cannot take does not end its process. The value of a panic may hold resource
// content; it is left out unless it is the runtime's own.
func guard(fn func() error) (err error) {
	defer func() {
		value := recover()
		if value == nil {
			return
		}
		what, ok := value.(runtime.Error)
		if !ok {
			err = hookFault("panic with a %T\n%s", value, debug.Stack())
			return
		}
		err = hookFault("panic: %w\n%s", what, debug.Stack())
	}()
	return fn()
}

// lastWord returns the cause of a failed attempt, marked as one that ends the job
// if there is to be no further attempt.
func (e *Exporter) lastWord(failures int, cause error) error {
	switch {
	case errors.Is(cause, ErrPermanent):
		return fmt.Errorf("%w: %w", errHopeless, cause)
	case failures >= e.cfg.MaxAttempts:
		return fmt.Errorf("%w: %w", errExhausted, cause)
	}
	return cause
}

// endsJob reports whether an error of a task is the end of its job.
func endsJob(err error) bool {
	for _, end := range []error{errExhausted, errHopeless, errLateError, errOverdue, ErrGroupNotFound} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// failJob ends a job whose attempts are used up. The reason is for the client
// and says no more than which step it was. Files go at once: nobody can have
// them, and what failed may have been a full disk.
func (e *Exporter) failJob(ctx context.Context, task Task, cause error) error {
	reason := e.failureReason(ctx, task, cause)
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
	e.dropFiles(ctx, job.ID)
	e.cancelTasks(ctx, job.ID)
	return nil
}

func (e *Exporter) failureReason(ctx context.Context, task Task, cause error) string {
	switch {
	case errors.Is(cause, ErrGroupNotFound):
		return "The Group does not exist any more."
	case errors.Is(cause, errLateError):
		return "Some resources could not be exported, which a manifest that has been returned already " +
			"cannot report. Repeat the export without allowPartialManifests."
	case errors.Is(cause, errOverdue):
		return "The export took longer than this server allows."
	case task.Kind != TaskPart:
		return "The export could not be planned" + detail(cause) + "."
	}
	what := "its files"
	if parts, err := e.cfg.Store.Parts(ctx, task.JobID); err == nil && task.Part < len(parts) {
		what = contentOf(parts[task.Part])
	}
	return "The export failed while writing " + what + detail(cause) + "."
}

// contentOf says what a part writes.
func contentOf(part Part) string {
	switch part.Kind {
	case PartDeletions:
		return "what was deleted"
	case PartNotices:
		return "its notices"
	case PartBlocks:
		return "the resources by " + part.Type
	case PartResources, PartProvenance:
	}
	return part.Type + " resources"
}

// detail says whose trouble it was, for the end of a sentence.
func detail(cause error) string {
	var trouble *hostError
	switch {
	case errors.Is(cause, ErrStorageFull):
		return ": there is no room for its files"
	case !errors.As(cause, &trouble):
		return ""
	case trouble.side == sideSink:
		return ": its files could not be stored"
	case trouble.side == sideSource:
		return ": the data could not be read"
	}
	return ""
}

// dropFiles removes the files of a job that nobody can have any more.
func (e *Exporter) dropFiles(ctx context.Context, jobID string) {
	if err := e.cfg.Sink.DeleteJob(ctx, jobID); err != nil {
		e.log.WarnContext(ctx, "remove files of export", "job", jobID, "error", err)
	}
}

package riverrunner

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/bulkexport/bulkexport"
)

// work is what stands in River's rows: a task, and how often in a row it has failed.
// Each kind of task is a kind of River's, so that its tools tell them apart.
type work struct {
	Job      string `json:"job"`
	Tenant   string `json:"tenant"`
	Part     int    `json:"part"`
	Failures int    `json:"failures"`
}

type (
	planWork   struct{ work }
	partWork   struct{ work }
	finishWork struct{ work }
	deleteWork struct{ work }
)

// River's names of the kinds.
const (
	planKind   = "bulkexport_plan"
	partKind   = "bulkexport_part"
	finishKind = "bulkexport_finish"
	deleteKind = "bulkexport_delete"
)

// Kind implements [river.JobArgs].
func (planWork) Kind() string { return planKind }

// Kind implements [river.JobArgs].
func (partWork) Kind() string { return partKind }

// Kind implements [river.JobArgs].
func (finishWork) Kind() string { return finishKind }

// Kind implements [river.JobArgs].
func (deleteWork) Kind() string { return deleteKind }

func (w work) task(kind bulkexport.TaskKind) bulkexport.Task {
	return bulkexport.Task{Kind: kind, JobID: w.Job, Tenant: w.Tenant, Part: w.Part}
}

// argsOf returns what River stores for a task, and the queue that it belongs in.
func argsOf(kind bulkexport.TaskKind, w work) (args river.JobArgs, queue string) {
	switch kind {
	case bulkexport.TaskPlan:
		return planWork{w}, upkeepQueue
	case bulkexport.TaskFinish:
		return finishWork{w}, upkeepQueue
	case bulkexport.TaskDelete:
		return deleteWork{w}, upkeepQueue
	case bulkexport.TaskPart:
	}
	return partWork{w}, partsQueue
}

// register makes the workers known to River. A leader that did not know one would
// discard its rows.
func (r *Runner) register(workers *river.Workers) error {
	return errors.Join(
		river.AddWorkerSafely(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[planWork]) error {
			return do(ctx, r, bulkexport.TaskPlan, job.Args.work, job)
		})),
		river.AddWorkerSafely(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[partWork]) error {
			return do(ctx, r, bulkexport.TaskPart, job.Args.work, job)
		})),
		river.AddWorkerSafely(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[finishWork]) error {
			return do(ctx, r, bulkexport.TaskFinish, job.Args.work, job)
		})),
		river.AddWorkerSafely(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[deleteWork]) error {
			return do(ctx, r, bulkexport.TaskDelete, job.Args.work, job)
		})),
	)
}

// do performs a task. One that failed is stored again, for after a pause, and its
// row of River's ends as cancelled, with the error. River's own retries go by the
// clocks of the nodes, which may be wrong; this package's by that of the database.
func do[A river.JobArgs](
	ctx context.Context, r *Runner, kind bulkexport.TaskKind, w work, job *river.Job[A],
) error {
	fn, end := r.begins(job.ID)
	defer end()
	err := complete(func() error { return fn(ctx, w.task(kind)) })
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	switch {
	case err == nil:
		r.replace(record, func(tx pgx.Tx) error {
			_, err := river.JobCompleteTx[*riverpgxv5.Driver](record, tx, job)
			return err
		})
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		// Told to stop, which gives it back, or cancelled, which ends it.
		return ctx.Err()
	}
	w.Failures++
	if lost := r.storeAgain(record, kind, w, pauseAfter(w.Failures)); lost != nil {
		// River's retry is better than none. Beyond it is the next sweep.
		return errors.Join(err, lost)
	}
	return river.JobCancel(err)
}

// begins notes that a row of River's is being performed here, until end is called.
func (r *Runner) begins(id int64) (perform func(context.Context, bulkexport.Task) error, end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.work[id] = true
	return r.perform, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.work, id)
	}
}

// replace completes a row of River's and hands over what may follow it, at once:
// River completes rows in the background, and until then one would seem to run. When
// it fails River does so nevertheless.
func (r *Runner) replace(ctx context.Context, completed func(pgx.Tx) error) {
	if err := r.dispatchAfter(ctx, completed); err != nil {
		r.cfg.Logger.WarnContext(ctx, "complete task; River does it", "error", err)
		r.nudge()
	}
}

// recordTimeout bounds what is written after a task has ended.
const recordTimeout = 5 * time.Second

var errAborted = errors.New("task was aborted")

// complete calls fn on a goroutine of its own: one that ends it, by
// [runtime.Goexit], would take the place of a worker with it.
func complete(fn func() error) error {
	ended := make(chan error, 1)
	go func() {
		err := errAborted
		defer func() { ended <- err }()
		err = fn()
	}()
	return <-ended
}

// The pause after a failure grows from firstPause to maxPause, give or take a
// fifth of it, as that of [bulkexport.Pool].
const (
	firstPause = 500 * time.Millisecond
	maxPause   = 30 * time.Second
)

func pauseAfter(failures int) time.Duration {
	pause := firstPause << min(max(failures-1, 0), 10)
	return time.Duration(float64(min(pause, maxPause)) * (0.8 + 0.4*rand.Float64())) //nolint:gosec // no secret
}

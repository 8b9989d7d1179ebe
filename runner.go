package bulkexport

import (
	"context"
	"time"
)

// Runner delivers tasks to workers: the [Pool] in this process, or a job
// engine that the host has already.
//
// What an implementation promises:
//
//   - At least once: a task that was enqueued is performed while the runner
//     runs, also more than once. [Exporter.Perform] takes care of repeats.
//   - A task whose performance returned an error is delivered again, later.
//   - It may forget tasks that come before Start, and all when the process ends.
//     The exporter enqueues again what its store says is unfinished.
type Runner interface {
	// Enqueue hands over tasks. It does not wait for them. A task that is
	// queued already need not be queued twice. After Stop it returns
	// [ErrStopped].
	Enqueue(ctx context.Context, tasks ...Task) error

	// Start begins to perform tasks, with fn, until Stop. It returns at once. It
	// is called once.
	// The context's values are handed to fn; its end does not stop the runner.
	Start(ctx context.Context, fn func(context.Context, Task) error) error

	// Stop takes no more tasks, cancels the context of those being performed
	// and waits until they have returned, or until ctx ends, whose error it then
	// returns. Stopping twice, or before Start, is fine.
	Stop(ctx context.Context) error
}

// RunnerCanceler is implemented by a runner that can interrupt a job's tasks
// at once. Without it a deleted job's workers notice at their next heartbeat.
type RunnerCanceler interface {
	// CancelJob drops the job's queued tasks and cancels the context of those
	// being performed, in all processes that the runner spans. Tasks that delete
	// are left alone. It does not wait.
	CancelJob(ctx context.Context, jobID string) error
}

// RunnerScheduler is implemented by a runner that spans processes and can have a
// thing done regularly by one of them. Without it each process does it.
type RunnerScheduler interface {
	// Schedule has fn called soon after Start and then each interval, for as long
	// as any process with the same schedule runs: by one process at a time, another
	// one if that dies. An error of fn is logged and not a reason to call again
	// before its time. It is called before Start, once for each name.
	Schedule(name string, every time.Duration, fn func(context.Context) error) error
}

// Ceilings bound how many tasks of a kind that reads or writes resources
// ([TaskPart]) a runner performs at the same time, besides the number of its
// workers. 0 is no bound.
type Ceilings struct {
	// Job, Tenant and Total bound the tasks of one job, those of all jobs of a tenant,
	// and all there are: in this process, or in all of them for a runner that spans
	// several.
	Job, Tenant, Total int
}

// TaskKind says what a task does.
type TaskKind string

const (
	// TaskPlan fixes the transactionTime and cuts the export into parts.
	TaskPlan TaskKind = "plan"
	// TaskPart writes the files of one part.
	TaskPart TaskKind = "part"
	// TaskFinish completes a job whose parts are done, or fails one that takes
	// too long.
	TaskFinish TaskKind = "finish"
	// TaskDelete removes the files and the record of a deleted job.
	TaskDelete TaskKind = "delete"
)

// Task is one unit of work of one job. It is a comparable value that names the
// work; all state is in the [JobStore]. Two equal tasks are the same work.
type Task struct {
	Kind   TaskKind `json:"kind"`
	JobID  string   `json:"job"`
	Tenant string   `json:"tenant"`
	// Part is the index of the part for TaskPart, else 0.
	Part int `json:"part"`
}

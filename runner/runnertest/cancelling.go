package runnertest

import (
	"context"
	"errors"
	"slices"

	"github.com/bulkexport/bulkexport"
)

func cancellingCases() []testCase {
	return []testCase{
		{Cancelling, "one job", cancelOneJob},
		{Cancelling, "all but what deletes", cancelKeepsDelete},
		{Cancelling, "again", cancelledJobGoesOn},
		{Cancelling, "on all nodes", cancelOnAllNodes},
	}
}

// cancelJob1 skips the case if the runner cannot.
func (t *env) cancelJob1(r bulkexport.Runner) {
	t.Helper()
	canceler, ok := r.(bulkexport.RunnerCanceler)
	if !ok {
		t.Skip("the runner is no RunnerCanceler")
		return
	}
	if err := canceler.CancelJob(t.Context(), job1); err != nil {
		t.Fatalf("CancelJob: it interrupts a job; got error: %v", err)
	}
}

// interruptible is an action that sends how it was interrupted, if it was before
// release is closed.
func (t *env) interruptible(release <-chan struct{}) (action, <-chan interruption) {
	interrupted := make(chan interruption, 100)
	hold := t.hold(release)
	return func(ctx context.Context, task bulkexport.Task) error {
		err := hold(ctx, task)
		if err != nil {
			select {
			case interrupted <- interruption{task, err}:
			default:
			}
		}
		return err
	}, interrupted
}

type interruption struct {
	task bulkexport.Task
	err  error
}

// wantNoOtherInterrupted lets those that come again be interrupted again.
func (t *env) wantNoOtherInterrupted(interrupted <-chan interruption, tasks ...bulkexport.Task) {
	t.Helper()
	t.later()
	for len(interrupted) > 0 {
		if i := <-interrupted; !slices.Contains(tasks, i.task) {
			t.Errorf("CancelJob: only what does work for this job is interrupted; %+v was too", i.task)
		}
	}
}

func (t *env) wantInterrupted(interrupted <-chan interruption, tasks ...bulkexport.Task) {
	t.Helper()
	for left := tasks; len(left) > 0; {
		i := receive(t, interrupted, "CancelJob: it cancels the context of the job's tasks")
		if !slices.Contains(tasks, i.task) {
			t.Fatalf("CancelJob: only what does work for this job is interrupted; %+v was too", i.task)
		}
		if !errors.Is(i.err, context.Canceled) {
			t.Errorf("CancelJob: contexts are cancelled, and did not run out of time; got %v", i.err)
		}
		left = slices.DeleteFunc(slices.Clone(left), func(t bulkexport.Task) bool { return t == i.task })
	}
}

// cancelOneJob has a part of each of two jobs being performed, and others waiting.
func cancelOneJob(t *env) {
	release := make(chan struct{})
	do, interrupted := t.interruptible(release)
	r, c := t.run(Settings{Workers: 2}, do)
	doomed, others := parts(tenant1, job1, 20), parts(tenant1, job2, 10)
	remove := bulkexport.Task{Kind: bulkexport.TaskDelete, JobID: job1, Tenant: tenant1}
	t.enqueue(r, doomed[0], others[0])
	c.untilRunning("Start: as many parts at once as there are workers", doomed[0], others[0])
	t.enqueue(r, doomed[1:]...)
	t.enqueue(r, remove)
	t.enqueue(r, others[1:]...)

	t.cancelJob1(r)
	t.wantInterrupted(interrupted, doomed[0])
	t.wantNoOtherInterrupted(interrupted, doomed[0])
	close(release)
	c.untilBegun("CancelJob: what belongs to other jobs stays, and so does what deletes", append(others, remove)...)
	t.later()
	for _, task := range doomed[1:] {
		if c.timesOf(task) > 0 {
			t.Fatalf("CancelJob: it drops the job's queued tasks; part %d was performed", task.Part)
		}
	}
}

func cancelKeepsDelete(t *env) {
	release := make(chan struct{})
	do, interrupted := t.interruptible(release)
	r, c := t.run(Settings{Workers: 4}, do)
	tasks := oneOfEach(tenant1, job1)
	t.enqueue(r, tasks...)
	c.untilRunning("Enqueue: a task is performed", tasks...)
	t.cancelJob1(r)
	doomed := slices.DeleteFunc(tasks, func(t bulkexport.Task) bool { return t.Kind == bulkexport.TaskDelete })
	t.wantInterrupted(interrupted, doomed...)
	t.wantNoOtherInterrupted(interrupted, doomed...)
	close(release)
}

// cancelledJobGoesOn enqueues more afterwards, also what has just been dropped.
func cancelledJobGoesOn(t *env) {
	release := make(chan struct{})
	do, interrupted := t.interruptible(release)
	r, c := t.run(Settings{Workers: 2}, do)
	tasks := parts(tenant1, job1, 10)
	running, waiting := tasks[:2], tasks[2:5]
	t.enqueue(r, running...)
	c.untilRunning("Start: as many parts at once as there are workers", running...)
	t.enqueue(r, waiting...)
	t.cancelJob1(r)
	t.wantInterrupted(interrupted, running...)
	close(release)
	t.enqueue(r, tasks[2:]...)
	c.untilBegun("CancelJob: what is enqueued afterwards is performed", tasks[2:]...)
}

func cancelOnAllNodes(t *env) {
	release := make(chan struct{})
	do, interrupted := t.interruptible(release)
	r, _, c := t.runTwo(Settings{Workers: 1}, do)
	running, waiting := parts(tenant1, job1, 2), parts(tenant2, job2, 4)
	t.enqueue(r, running...)
	c.untilRunning("Join: each node performs tasks", running...)
	t.enqueue(r, waiting...)
	t.cancelJob1(r)
	t.wantInterrupted(interrupted, running...)
	close(release)
	c.untilBegun("CancelJob: what belongs to other jobs stays", waiting...)
}

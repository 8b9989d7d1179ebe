package runnertest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/bulkexport/bulkexport"
)

func stoppingCases() []testCase {
	return []testCase{
		{Stopping, "before Start", stopBeforeStart},
		{Stopping, "afterwards", afterStop},
		{Stopping, "interrupts and waits", stopInterrupts},
		{Stopping, "takes no more", stopTakesNoMore},
	}
}

func stopBeforeStart(t *env) {
	r := t.open(Settings{Workers: 2})
	t.stop(r)
	t.stop(r)
	t.wantStopped(r)
}

func afterStop(t *env) {
	r, c := t.run(Settings{Workers: 2}, nil)
	tasks := oneOfEach(tenant1, job1)
	t.enqueue(r, tasks...)
	c.untilBegun("Enqueue: a task is performed", tasks...)
	t.stop(r)
	t.wantStopped(r)
	t.stop(r)
}

func (t *env) wantStopped(r bulkexport.Runner) {
	t.Helper()
	if err := r.Enqueue(t.Context(), parts(tenant1, job2, 1)...); !errors.Is(err, bulkexport.ErrStopped) {
		t.Errorf("Enqueue: after Stop it is ErrStopped; got %v", err)
	}
}

// stopping calls Stop and does not wait for it.
func stopping(ctx context.Context, r bulkexport.Runner) <-chan error {
	stopped := make(chan error, 1)
	go func() { stopped <- r.Stop(ctx) }()
	return stopped
}

func (t *env) wantStopWaits(stopped <-chan error) {
	t.Helper()
	t.later()
	select {
	case err := <-stopped:
		t.Fatalf("Stop: it waits until tasks have returned; got %v while one goes on", err)
	default:
	}
}

func stopInterrupts(t *env) {
	interrupted, release := make(chan error, 8), make(chan struct{})
	var returned atomic.Bool
	r, c := t.run(Settings{Workers: 1}, func(ctx context.Context, _ bulkexport.Task) error {
		select {
		case <-ctx.Done():
		case <-t.over:
		}
		interrupted <- ctx.Err()
		select {
		case <-release:
		case <-t.over:
		}
		returned.Store(true)
		return ctx.Err()
	})
	task := parts(tenant1, job1, 1)[0]
	t.enqueue(r, task)
	c.untilRunning("Enqueue: a task is performed", task)

	impatient, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	stopped := stopping(impatient, r)
	if err := receive(t, interrupted, "Stop: it cancels the context of tasks"); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: the context of tasks is cancelled, and did not run out of time; got %v", err)
	}
	t.wantStopWaits(stopped)
	giveUp()
	if err := receive(t, stopped, "Stop: it returns when its context ends"); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: when its context ends it returns that error; got %v", err)
	}

	stopped = stopping(context.WithoutCancel(t.Context()), r)
	t.wantStopWaits(stopped)
	close(release)
	err := receive(t, stopped, "Stop: it returns when tasks have returned")
	if err != nil || !returned.Load() {
		t.Errorf("Stop: it returns nil when tasks have returned; got %v, task has returned: %t", err, returned.Load())
	}
}

func stopTakesNoMore(t *env) {
	r, c := t.run(Settings{Workers: 1}, t.hold(nil))
	tasks := parts(tenant1, job1, 20)
	t.enqueue(r, tasks...)
	c.until("Enqueue: a task is performed", func() bool { return c.running(anyPart) == 1 })
	t.stop(r)
	before := c.total()
	if before >= len(tasks) {
		t.Errorf("Stop: it takes no more tasks; %d have begun, at one worker", before)
	}
	t.later()
	if after := c.total(); after != before {
		t.Errorf("Stop: it takes no more tasks; %d have begun afterwards", after-before)
	}
}

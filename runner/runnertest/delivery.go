package runnertest

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/bulkexport/bulkexport"
)

func deliveryCases() []testCase {
	return []testCase{
		{Delivery, "fields", fields},
		{Delivery, "many", many},
		{Delivery, "enqueued while it waits", enqueuedWhileWaiting},
		{Delivery, "enqueued by its own performance", enqueuedFromWithin},
		{Delivery, "enqueued while it is performed", enqueuedWhilePerformed},
		{Delivery, "failed", failed},
	}
}

// oddTasks have what breaks quoting, encoding and comparing.
func oddTasks() []bulkexport.Task {
	var tasks []bulkexport.Task
	for _, tenant := range []string{
		"", " ", "a", "A", "a ", "null", `O'Brien "&" <Söhne> \ {"x":1}; --`, "日本/🙂", "\u00e9", "e\u0301",
		"two\nlines\tand a tab", "\u2028", "%00 %s $1", "a,b:c|d",
	} {
		tasks = append(tasks, oneOfEach(tenant, job1)...)
		tasks = append(tasks, oneOfEach(tenant, job2)...)
	}
	for _, part := range []int{1, 10, 65_536, 1_000_000_000} {
		tasks = append(tasks, bulkexport.Task{Kind: bulkexport.TaskPart, JobID: job1, Tenant: tenant1, Part: part})
	}
	return tasks
}

func fields(t *env) {
	tasks := oddTasks()
	r, c := t.run(Settings{Workers: 4}, nil)
	c.never("Enqueue: a task has the fields that it was enqueued with", func() bool {
		return !slices.Contains(tasks, c.begun[len(c.begun)-1])
	})
	t.enqueue(r, tasks...)
	c.untilBegun("Enqueue: each task is performed, with the fields it has", tasks...)
	t.enqueue(r)
}

func many(t *env) {
	const callers, calls, each = 8, 25, 10
	r, c := t.run(Settings{Workers: 8}, nil)
	tasks := parts(tenant1, job1, callers*calls*each)
	for i := range tasks {
		tasks[i].Tenant = []string{tenant1, tenant2, ""}[i%3]
	}
	var wg sync.WaitGroup
	for own := range slices.Chunk(tasks, calls*each) {
		wg.Go(func() {
			for batch := range slices.Chunk(own, each) {
				if err := r.Enqueue(t.Context(), batch...); err != nil {
					t.Errorf("Enqueue: calls at once do not disturb; got error: %v", err)
				}
			}
		})
	}
	wg.Wait()
	c.untilWithin(10*patience, "Enqueue: of many tasks none is lost", func() bool { return len(c.times) == len(tasks) })
}

// enqueuedWhileWaiting has one worker, which would come to the tasks behind the
// repeated one only after all of its repetitions.
func enqueuedWhileWaiting(t *env) {
	const often = 20
	release := make(chan struct{})
	r, c := t.run(Settings{Workers: 1}, t.holdJob(job1, release))
	busy := parts(tenant1, job1, 1)
	t.enqueue(r, busy...)
	c.untilRunning("Start: there are as many workers as there should be", busy...)

	tasks := parts(tenant1, job2, 5)
	task, rest := tasks[0], tasks[1:]
	for range often {
		t.enqueue(r, task)
	}
	t.enqueue(r, rest...)
	close(release)
	c.untilBegun("Enqueue: a task that waits may be enqueued again", tasks...)
	if n := c.timesOf(task); n >= often {
		t.Errorf("Enqueue: a task that waits is not queued each time; it was enqueued %d times and performed %d times",
			often, n)
	}
}

func enqueuedFromWithin(t *env) {
	var r bulkexport.Runner
	var c *crew
	r, c = t.open(Settings{Workers: 2}), t.crew(func(ctx context.Context, task bulkexport.Task) error {
		if c.timesOf(task) > 2 {
			return nil
		}
		return r.Enqueue(ctx, task)
	})
	t.start(r, c)
	tasks := oneOfEach(tenant1, job1)
	t.enqueue(r, tasks...)
	c.untilTimes("Enqueue: a task that enqueues itself is performed once more, each time", 3, tasks...)
}

func enqueuedWhilePerformed(t *env) {
	release := make(chan struct{})
	r, c := t.run(Settings{Workers: 4}, t.hold(release))
	tasks := oneOfEach(tenant1, job1)
	t.enqueue(r, tasks...)
	c.untilRunning("Enqueue: a task is performed", tasks...)
	t.enqueue(r, tasks...)
	close(release)
	c.untilTimes("Enqueue: a task that is being performed is performed once more", 2, tasks...)
}

// failed lets two batches fail, one after the other: when the second has come
// again, so would have what should have been over in the first.
func failed(t *env) {
	var c *crew
	r := t.open(Settings{Workers: 4})
	c = t.crew(func(_ context.Context, task bulkexport.Task) error {
		if c.timesOf(task) == 1 {
			return errors.New("not yet")
		}
		return nil
	})
	t.start(r, c)
	first := oneOfEach(tenant1, job1)
	for _, tasks := range [][]bulkexport.Task{first, oneOfEach(tenant1, job2)} {
		t.enqueue(r, tasks...)
		c.untilTimes("Start: a task whose performance returned an error comes again", 2, tasks...)
	}
	t.later()
	for _, task := range first {
		if n := c.timesOf(task); n > 2 {
			t.Errorf("Start: a task that has succeeded does not come again; %s was performed %d times, want 2", task.Kind, n)
		}
	}
}

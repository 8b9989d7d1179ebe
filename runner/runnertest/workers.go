package runnertest

import (
	"context"
	"runtime"
	"slices"

	"github.com/bulkexport/bulkexport"
)

func workersCases() []testCase {
	return []testCase{
		{Workers, "all and no more", allWorkers},
		{Goexit, "workers stay", workersStay},
	}
}

func allWorkers(t *env) {
	const workers = 3
	release := make(chan struct{})
	r, c := t.run(Settings{Workers: workers}, t.hold(release))
	c.never("Start: no more parts at once than there are workers", func() bool { return c.running(anyPart) > workers })
	tasks := parts(tenant1, job1, 4*workers)
	t.enqueue(r, tasks...)
	c.until("Start: as many parts at once as there are workers",
		func() bool { return c.running(anyPart) == workers })
	t.later()
	close(release)
	c.untilBegun("Start: a worker that is free takes the next task", tasks...)
}

func workersStay(t *env) {
	const workers = 2
	release := make(chan struct{})
	hold := t.hold(release)
	var c *crew
	r := t.open(Settings{Workers: workers})
	c = t.crew(func(ctx context.Context, task bulkexport.Task) error {
		switch {
		case task.JobID == job2:
			return hold(ctx, task)
		case c.timesOf(task) == 1:
			runtime.Goexit()
		}
		return nil
	})
	t.start(r, c)
	tasks := parts(tenant1, job1, 2*workers)
	t.enqueue(r, tasks...)
	c.untilBegun("Start: a task that ends its goroutine costs no worker", tasks...)
	tasks = parts(tenant1, job2, workers)
	t.enqueue(r, tasks...)
	c.untilRunning("Start: when tasks have ended their goroutines, all workers are still there", tasks...)
	close(release)
}

func turnsCases() []testCase {
	return []testCase{
		{Turns, "small beside large", smallBesideLarge},
		{Turns, "small beside large on two nodes", smallBesideLargeOnTwo},
	}
}

func smallBesideLarge(t *env) {
	release := make(chan struct{})
	r, c := t.run(Settings{Workers: 2}, t.holdJob(job1, release))
	t.takeTurns(r, c, 2, release)
}

func smallBesideLargeOnTwo(t *env) {
	release := make(chan struct{})
	r, _, c := t.runTwo(Settings{Workers: 2}, t.holdJob(job1, release))
	t.takeTurns(r, c, 4, release)
}

// takeTurns keeps all workers busy until one tenant has queued much, and others a
// little behind it.
func (t *env) takeTurns(r bulkexport.Runner, c *crew, workers int, release chan struct{}) {
	t.Helper()
	busy := parts("busy", job1, workers)
	t.enqueue(r, busy...)
	c.untilRunning("Start: as many parts at once as there are workers", busy...)
	large := parts("large", job2, 100)
	small := slices.Concat(parts("small", job3, 2), parts("", job3, 2))
	t.enqueue(r, large...)
	t.enqueue(r, small...)
	close(release)
	c.untilBegun("Enqueue: all tenants' tasks are performed", append(small, large...)...)

	c.mu.Lock()
	defer c.mu.Unlock()
	before := 0
	for _, task := range small {
		isLarge := func(t bulkexport.Task) bool { return t.Tenant == "large" }
		before = max(before, count(c.begun[:slices.Index(c.begun, task)], isLarge))
	}
	if before > len(large)/2 {
		t.Errorf("Start: tenants take turns; two tasks of each small tenant waited for %d of the %d of a large one",
			before, len(large))
	}
}

func count(tasks []bulkexport.Task, fits func(bulkexport.Task) bool) int {
	n := 0
	for _, task := range tasks {
		if fits(task) {
			n++
		}
	}
	return n
}

package runnertest

import (
	"context"
	"slices"

	"github.com/bulkexport/bulkexport"
)

func nodesCases() []testCase {
	return []testCase{
		{Nodes, "share tasks", shareTasks},
		{Nodes, "each task on one", eachOnOne},
		{Nodes, "what one stops another does", anotherTakesOver},
		{Nodes, "what the last stops the next does", nextTakesOver},
		{Nodes, "what a dead one was at another does", anotherTakesOverAfterDeath},
	}
}

// shareTasks has nodes with one worker each: two parts at once are on both.
func shareTasks(t *env) {
	release := make(chan struct{})
	r1, r2, c := t.runTwo(Settings{Workers: 1}, t.hold(release))
	tasks := parts(tenant1, job1, 2)
	t.enqueue(r1, tasks...)
	c.untilRunning("Join: what is enqueued on one node is performed by both", tasks...)
	close(release)
	tasks = parts(tenant1, job2, 20)
	t.enqueue(r2, tasks...)
	c.untilBegun("Join: what is enqueued on any node is performed", tasks...)
}

func eachOnOne(t *env) {
	const workers = 4
	release := make(chan struct{})
	r1, r2, c := t.runTwo(Settings{Workers: workers}, t.hold(release))
	c.never("Join: a task is performed by one node at a time", func() bool {
		return c.active[c.begun[len(c.begun)-1]] > 1
	})
	tasks := parts(tenant1, job1, 200)
	for batch := range slices.Chunk(tasks, 20) {
		t.enqueue(r1, batch[:10]...)
		t.enqueue(r2, batch[10:]...)
	}
	c.until("Join: all nodes perform tasks", func() bool { return c.running(anyPart) == 2*workers })
	t.later()
	close(release)
	c.untilBegun("Join: what is enqueued on any node is performed", tasks...)
	t.later()
	if n := c.total(); n != len(tasks) {
		t.Errorf("Join: a task is performed by one node; %d tasks were performed %d times", len(tasks), n)
	}
}

// anotherTakesOver has two tasks on one node, and one behind them.
func anotherTakesOver(t *env) {
	s := Settings{Workers: 2}
	c1, c2 := t.crew(t.hold(nil)), t.crew(nil)
	r1 := t.open(s)
	r2 := t.join(r1, s)
	t.start(r1, c1)
	tasks := parts(tenant1, job1, 3)
	t.enqueue(r1, tasks...)
	c1.until("Enqueue: a task is performed", func() bool { return c1.running(anyPart) == 2 })
	t.start(r2, c2)
	t.stop(r1)
	c2.untilBegun("Stop: another node performs what was interrupted, and what waits", tasks...)
}

func nextTakesOver(t *env) {
	s := Settings{Workers: 2}
	r1, c1 := t.open(s), t.crew(t.hold(nil))
	r2, c2 := t.join(r1, s), t.crew(nil)
	t.start(r1, c1)
	tasks := parts(tenant1, job1, 10)
	t.enqueue(r1, tasks...)
	c1.until("Enqueue: a task is performed", func() bool { return c1.running(anyPart) == 2 })
	t.stop(r1)
	t.start(r2, c2)
	c2.untilBegun("Stop: the next node performs what was interrupted, and what waits", tasks...)
}

func anotherTakesOverAfterDeath(t *env) {
	t.canAbandon()
	s := Settings{Workers: 2}
	c1, c2 := t.crew(func(context.Context, bulkexport.Task) error {
		<-t.over // whatever its context says, since a dead process hears nothing
		return nil
	}), t.crew(nil)
	r1 := t.open(s)
	r2 := t.join(r1, s)
	t.start(r1, c1)
	tasks := parts(tenant1, job1, 4)
	t.enqueue(r1, tasks...)
	c1.until("Enqueue: a task is performed", func() bool { return c1.running(anyPart) == 2 })
	t.start(r2, c2)
	t.abandon(r1)
	c2.untilWithin(10*patience, "Join: what a dead node was at is performed by another", func() bool {
		return !slices.ContainsFunc(tasks, func(t bulkexport.Task) bool { return c2.times[t] == 0 })
	})
}

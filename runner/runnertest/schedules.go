package runnertest

import (
	"context"
	"errors"
	"time"

	"github.com/bulkexport/bulkexport"
)

func schedulesCases() []testCase {
	return []testCase{
		{Schedules, "again and again", againAndAgain},
		{Schedules, "one at a time", oneAtATime},
		{Schedules, "another node goes on", anotherGoesOn},
		{Schedules, "another node goes on after a death", anotherGoesOnAfterDeath},
	}
}

// interval is that of all schedules.
const interval = time.Second

// scheduled is the task by which a crew notes a call of a schedule's function.
func scheduled(name string, node int) bulkexport.Task {
	return bulkexport.Task{Kind: "schedule", JobID: name, Part: node}
}

// schedule has the crew called as a task, or skips the case.
func (t *env) schedule(r bulkexport.Runner, c *crew, name string, node int) {
	t.Helper()
	scheduler, ok := r.(bulkexport.RunnerScheduler)
	if !ok {
		t.Skip("the runner is no RunnerScheduler")
		return
	}
	err := scheduler.Schedule(name, interval, func(ctx context.Context) error {
		return c.perform(ctx, scheduled(name, node))
	})
	if err != nil {
		t.Fatalf("Schedule: before Start a function is taken; got error: %v", err)
	}
}

func againAndAgain(t *env) {
	c := t.crew(func(context.Context, bulkexport.Task) error { return errors.New("not this time") })
	r := t.open(Settings{Workers: 1})
	t.schedule(r, c, "sweep", 0)
	t.start(r, c)
	c.untilTimes("Schedule: the function is called again and again, also after an error", 3, scheduled("sweep", 0))
}

// oneAtATime has a function that takes longer than its interval, which another
// one with the same interval shows.
func oneAtATime(t *env) {
	const calls = 3
	s := Settings{Workers: 1}
	release := make(chan struct{})
	c := t.crew(t.holdJob("slow", release))
	c.never("Schedule: a function is called by one process at a time", func() bool {
		return c.running(func(task bulkexport.Task) bool { return task.JobID == "slow" }) > 1
	})
	nodes := []bulkexport.Runner{t.open(s)}
	if t.harness.Join != nil {
		nodes = append(nodes, t.join(nodes[0], s))
	}
	for i, r := range nodes {
		t.schedule(r, c, "slow", i)
		t.schedule(r, c, "quick", i)
	}
	for _, r := range nodes {
		t.start(r, c)
	}
	calledBy := func(name string) int { return c.times[scheduled(name, 0)] + c.times[scheduled(name, 1)] }
	c.until("Schedule: a function is called soon", func() bool { return calledBy("slow") > 0 })
	c.mu.Lock()
	before := calledBy("quick")
	c.mu.Unlock()
	c.until("Schedule: functions do not wait for each other", func() bool { return calledBy("quick") >= before+calls })
	close(release)
	c.until("Schedule: a function that took long is called again", func() bool { return calledBy("slow") > 1 })
}

// scheduleOnTwo starts two nodes with one schedule and returns the one that calls
// it first.
func (t *env) scheduleOnTwo(c *crew) (nodes [2]bulkexport.Runner, caller int) {
	t.Helper()
	s := Settings{Workers: 1}
	nodes[0] = t.open(s)
	nodes[1] = t.join(nodes[0], s)
	for i, r := range nodes {
		t.schedule(r, c, "sweep", i)
	}
	for _, r := range nodes {
		t.start(r, c)
	}
	c.until("Schedule: a function is called soon", func() bool { return len(c.begun) > 0 })
	c.mu.Lock()
	defer c.mu.Unlock()
	return nodes, c.begun[0].Part
}

func anotherGoesOn(t *env) {
	c := t.crew(t.hold(nil))
	nodes, caller := t.scheduleOnTwo(c)
	t.stop(nodes[caller])
	c.mu.Lock()
	if c.active[scheduled("sweep", caller)] > 0 {
		t.Errorf("Stop: it waits until the function of a schedule has returned")
	}
	c.mu.Unlock()
	c.untilBegun("Schedule: when a node has stopped another one calls the function", scheduled("sweep", 1-caller))
}

func anotherGoesOnAfterDeath(t *env) {
	t.canAbandon()
	c := t.crew(func(context.Context, bulkexport.Task) error {
		<-t.over // whatever its context says, since a dead process hears nothing
		return nil
	})
	nodes, caller := t.scheduleOnTwo(c)
	t.abandon(nodes[caller])
	next := scheduled("sweep", 1-caller)
	c.untilWithin(10*patience, "Schedule: when a node has died another one calls the function",
		func() bool { return c.times[next] > 0 })
}

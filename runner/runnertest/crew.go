package runnertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// action is what is done for a task.
type action func(ctx context.Context, task bulkexport.Task) error

// crew is what runners call to have tasks performed. It notes each call.
type crew struct {
	t  *env
	do action

	mu      sync.Mutex
	begun   []bulkexport.Task // in the order in which they began
	times   map[bulkexport.Task]int
	active  map[bulkexport.Task]int
	laws    []law
	changed chan struct{} // closed and replaced with each change
}

// law is something that must never be the case.
type law struct {
	rule   string
	broken func() bool
}

// crew returns a crew that does the same for all tasks; nil is nothing.
func (t *env) crew(do action) *crew {
	if do == nil {
		do = func(context.Context, bulkexport.Task) error { return nil }
	}
	return &crew{
		t: t, do: do,
		times:   map[bulkexport.Task]int{},
		active:  map[bulkexport.Task]int{},
		changed: make(chan struct{}),
	}
}

func (c *crew) perform(ctx context.Context, task bulkexport.Task) error {
	c.note(task, 1)
	defer c.note(task, -1)
	return c.do(ctx, task)
}

func (c *crew) note(task bulkexport.Task, change int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.active[task] += change; c.active[task] == 0 {
		delete(c.active, task)
	}
	if change > 0 {
		c.begun = append(c.begun, task)
		c.times[task]++
		c.judge(task)
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

// judge complains about each law once, and not after the case, since an
// abandoned runner may go on.
func (c *crew) judge(task bulkexport.Task) {
	select {
	case <-c.t.over:
		return
	default:
	}
	c.laws = slices.DeleteFunc(c.laws, func(l law) bool {
		broken := l.broken()
		if broken {
			c.t.Errorf("%s; it was not so when %+v began: %s", l.rule, task, c.state())
		}
		return broken
	})
}

// never has broken looked at whenever a task begins, with c.mu held.
func (c *crew) never(rule string, broken func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.laws = append(c.laws, law{rule, broken})
}

// until waits until ok, which is called with c.mu held.
func (c *crew) until(rule string, ok func() bool) {
	c.t.Helper()
	c.untilWithin(patience, rule, ok)
}

func (c *crew) untilWithin(limit time.Duration, rule string, ok func() bool) {
	c.t.Helper()
	end := time.After(limit)
	for {
		c.mu.Lock()
		done, changed := ok(), c.changed
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-end:
			c.mu.Lock()
			state := c.state()
			c.mu.Unlock()
			c.t.Fatalf("%s; after %v it is not so: %s", rule, limit, state)
		}
	}
}

// untilBegun waits until each of the tasks has begun at least once.
func (c *crew) untilBegun(rule string, tasks ...bulkexport.Task) {
	c.t.Helper()
	c.untilTimes(rule, 1, tasks...)
}

func (c *crew) untilTimes(rule string, n int, tasks ...bulkexport.Task) {
	c.t.Helper()
	c.until(rule, func() bool {
		return !slices.ContainsFunc(tasks, func(t bulkexport.Task) bool { return c.times[t] < n })
	})
}

// untilRunning waits until each of the tasks is being performed.
func (c *crew) untilRunning(rule string, tasks ...bulkexport.Task) {
	c.t.Helper()
	c.until(rule, func() bool {
		return !slices.ContainsFunc(tasks, func(t bulkexport.Task) bool { return c.active[t] == 0 })
	})
}

// running counts the tasks that are being performed and fit. It is for laws and
// until.
func (c *crew) running(fits func(bulkexport.Task) bool) int {
	n := 0
	for task, times := range c.active {
		if fits(task) {
			n += times
		}
	}
	return n
}

// timesOf returns how often a task has begun.
func (c *crew) timesOf(task bulkexport.Task) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times[task]
}

// total returns how often any task has begun.
func (c *crew) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.begun)
}

func (c *crew) state() string {
	return fmt.Sprintf("%d performances of %d tasks have begun, %d go on", len(c.begun), len(c.times), len(c.active))
}

func anyPart(task bulkexport.Task) bool { return task.Kind == bulkexport.TaskPart }

func partOfJob(job string) func(bulkexport.Task) bool {
	return func(t bulkexport.Task) bool { return anyPart(t) && t.JobID == job }
}

func partOfTenant(tenant string) func(bulkexport.Task) bool {
	return func(t bulkexport.Task) bool { return anyPart(t) && t.Tenant == tenant }
}

// hold is an action that lasts until release is closed, or the task is
// interrupted.
func (t *env) hold(release <-chan struct{}) action {
	return func(ctx context.Context, _ bulkexport.Task) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-t.over:
			return nil
		}
	}
}

// holdJob holds the tasks of one job only.
func (t *env) holdJob(job string, release <-chan struct{}) action {
	hold := t.hold(release)
	return func(ctx context.Context, task bulkexport.Task) error {
		if task.JobID != job {
			return nil
		}
		return hold(ctx, task)
	}
}

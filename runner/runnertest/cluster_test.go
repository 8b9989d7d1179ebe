package runnertest_test

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/runner/runnertest"
)

// latency is how long a task takes from the queue to a worker. Time is that of a
// synctest bubble.
const latency = 2 * time.Millisecond

// cluster is a queue in memory that nodes share: a correct runner as long as it
// has no faults.
type cluster struct {
	faults
	settings runnertest.Settings

	mu        sync.Mutex
	waiting   []entry
	working   []*performance
	again     map[bulkexport.Task]bool // enqueued while it is performed
	served    map[string]int           // the turn in which a tenant had a task last
	turn      int
	enqueued  int
	nodes     []*node
	schedules map[string]bool // those that somebody sees to
	serial    chan struct{}
}

type entry struct {
	task bulkexport.Task
	at   *node
}

type performance struct {
	task      bulkexport.Task
	node      *node
	cancel    context.CancelFunc
	cancelled bool // by CancelJob: it does not come again
}

func newCluster(s runnertest.Settings, f faults) *cluster {
	return &cluster{
		faults: f, settings: s,
		again: map[bulkexport.Task]bool{}, served: map[string]int{}, schedules: map[string]bool{},
		serial: make(chan struct{}, 1),
	}
}

func (c *cluster) join() *node {
	n := &node{c: c, dead: make(chan struct{})}
	c.nodes = append(c.nodes, n)
	return n
}

// dispatch hands out what may be performed, with c.mu held.
func (c *cluster) dispatch() {
	for _, n := range c.nodes {
		for n.takes() {
			i := c.choose(n)
			if i < 0 {
				break
			}
			task := c.waiting[i].task
			c.waiting = slices.Delete(c.waiting, i, i+1)
			c.turn++
			c.served[task.Tenant] = c.turn
			n.begin(task)
			if other := n.other(); c.onBothNodes && other != nil {
				other.begin(task)
			}
		}
	}
}

// choose returns the first task that may be, of the tenant whose last turn is the
// longest ago.
func (c *cluster) choose(n *node) int {
	best, full := -1, c.full(n)
	for i, e := range c.waiting {
		switch {
		case full && e.task.Kind == bulkexport.TaskPart:
		case c.ownQueues && e.at != n:
		case !c.mayBegin(n, e.task):
			if c.ceilingBlocksQueue && !c.belowCeilings(n, e.task) {
				return best
			}
		case best < 0, !c.noTurns && c.served[e.task.Tenant] < c.served[c.waiting[best].task.Tenant]:
			best = i
		}
	}
	return best
}

func (c *cluster) mayBegin(n *node, task bulkexport.Task) bool {
	if c.count(func(p *performance) bool { return p.task == task }) > 0 {
		return false
	}
	return c.belowCeilings(n, task)
}

// full reports whether all workers of the node are at a part.
func (c *cluster) full(n *node) bool {
	isPart := func(p *performance) bool { return p.task.Kind == bulkexport.TaskPart && p.node == n }
	return c.count(isPart) >= c.settings.Workers+c.moreWorkers-n.lost
}

func (c *cluster) belowCeilings(n *node, task bulkexport.Task) bool {
	if task.Kind != bulkexport.TaskPart && !c.ceilingsForAll {
		return true
	}
	below := func(limit int, counts func(bulkexport.Task) bool) bool {
		return limit == 0 || c.count(func(p *performance) bool {
			part := p.task.Kind == bulkexport.TaskPart || c.ceilingsForAll
			return part && counts(p.task) && (!c.ceilingsPerNode || p.node == n)
		}) < limit
	}
	l := c.settings.Ceilings
	return (c.noJobCeiling || below(l.Job, func(t bulkexport.Task) bool { return t.JobID == task.JobID })) &&
		(c.noTenantCeiling || below(l.Tenant, func(t bulkexport.Task) bool { return t.Tenant == task.Tenant })) &&
		(c.noTotalCeiling || below(l.Total, func(bulkexport.Task) bool { return true }))
}

func (c *cluster) count(fits func(*performance) bool) int {
	n := 0
	for _, p := range c.working {
		if fits(p) {
			n++
		}
	}
	return n
}

// push queues a task, with c.mu held.
func (c *cluster) push(at *node, task bulkexport.Task) {
	c.enqueued++
	if c.losesEach > 0 && c.enqueued%c.losesEach == 0 {
		return
	}
	if c.change != nil {
		task = c.change(task)
	}
	queued := slices.ContainsFunc(c.waiting, func(e entry) bool { return e.task == task })
	active := c.count(func(p *performance) bool { return p.task == task }) > 0
	switch {
	case c.queuesTwice:
		c.waiting = append(c.waiting, entry{task, at})
	case active:
		c.again[task] = !c.forgetsWhilePerformed
	case !queued:
		c.waiting = append(c.waiting, entry{task, at})
	}
}

// repeat queues a task again after a while.
func (c *cluster) repeat(at *node, task bulkexport.Task, after time.Duration) {
	time.AfterFunc(after, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.push(at, task)
		c.dispatch()
	})
}

// end says what becomes of a task whose performance has ended, with c.mu held.
func (c *cluster) end(p *performance, err error) {
	c.working = slices.DeleteFunc(c.working, func(q *performance) bool { return q == p })
	again := c.again[p.task]
	delete(c.again, p.task)
	switch {
	case again:
		c.push(p.node, p.task)
	case err == nil && c.repeatsSuccess:
		c.repeat(p.node, p.task, 5*latency)
	case err == nil, p.cancelled:
	case p.node.stopped && !c.losesInterrupted:
		c.waiting = append(c.waiting, entry{p.task, p.node})
	case !p.node.stopped && !c.losesFailed:
		c.repeat(p.node, p.task, 5*latency)
	}
	c.dispatch()
}

// die gives what a dead node was at to others.
func (c *cluster) die(n *node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n.stopped = true
	close(n.dead)
	for _, p := range slices.Clone(c.working) {
		if p.node != n {
			continue
		}
		c.working = slices.DeleteFunc(c.working, func(q *performance) bool { return q == p })
		if !c.losesDead {
			c.repeat(n, p.task, 50*latency) // it takes that long to be sure
		}
	}
}

package runnertest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// node is one runner of a cluster.
type node struct {
	c       *cluster
	fn      func(context.Context, bulkexport.Task) error
	plans   map[string]plan
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	started bool
	stopped bool
	dead    chan struct{}
	lost    int // workers
}

type plan struct {
	every time.Duration
	fn    func(context.Context) error
}

func (n *node) takes() bool {
	return n.started && (!n.stopped || n.c.takesAfterStop && n.cancel != nil)
}

func (n *node) other() *node {
	i := slices.IndexFunc(n.c.nodes, func(o *node) bool { return o != n && o.takes() })
	if i < 0 {
		return nil
	}
	return n.c.nodes[i]
}

func (n *node) Enqueue(ctx context.Context, tasks ...bulkexport.Task) error {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.stopped && !c.enqueuesAfterStop {
		return bulkexport.ErrStopped
	}
	for _, task := range tasks {
		c.push(n, task)
		if c.endsWithEnqueue {
			context.AfterFunc(ctx, func() { c.cancelTask(task) })
		}
	}
	c.dispatch()
	return nil
}

func (c *cluster) cancelTask(task bulkexport.Task) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.working {
		if p.task == task {
			p.cancel()
		}
	}
}

func (n *node) Start(ctx context.Context, fn func(context.Context, bulkexport.Task) error) error {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.endsWithStart {
		ctx = context.WithoutCancel(ctx)
	}
	if c.noValues {
		ctx = context.Background()
	}
	n.ctx, n.cancel = context.WithCancel(ctx)
	n.fn, n.started = fn, true
	for name := range n.plans {
		if c.schedulesPerNode || !c.schedules[name] {
			c.schedules[name] = true
			go c.see(n, name)
		}
	}
	c.dispatch()
	return nil
}

// begin starts to perform a task, with c.mu held.
func (n *node) begin(task bulkexport.Task) {
	p := &performance{task: task, node: n}
	ctx := n.ctx
	if n.c.stopRunsOutOfTime || n.c.stopInterruptsNone {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, p.cancel = context.WithCancel(ctx)
	if n.c.stopRunsOutOfTime {
		ctx = &timedOut{ctx, n.ctx}
	}
	n.c.working = append(n.c.working, p)
	n.running.Go(func() { n.perform(ctx, p) })
}

func (n *node) perform(ctx context.Context, p *performance) {
	defer p.cancel()
	<-time.After(latency)
	err, returned := errors.New("ended from within"), false
	defer func() {
		n.c.mu.Lock()
		defer n.c.mu.Unlock()
		if !returned && n.c.losesWorkers {
			n.lost++
		}
		if slices.Contains(n.c.working, p) { // the node is not dead
			n.c.end(p, err)
		}
	}()
	err = n.fn(ctx, p.task)
	returned = true
}

// timedOut is a context that runs out of time when until ends.
type timedOut struct {
	context.Context
	until context.Context
}

func (t *timedOut) Done() <-chan struct{} { return t.until.Done() }

func (t *timedOut) Err() error {
	if t.until.Err() != nil {
		return context.DeadlineExceeded
	}
	return nil
}

func (n *node) Stop(ctx context.Context) error {
	if n.stopWithoutWaiting(ctx) {
		return nil
	}
	idle := make(chan struct{})
	go func() {
		n.running.Wait()
		close(idle)
	}()
	if n.c.stopIsDeaf {
		<-idle
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (n *node) stopWithoutWaiting(context.Context) bool {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.cancel == nil && c.stopBeforeStartBlocks {
		n.running.Add(1)
		time.AfterFunc(time.Hour, n.running.Done)
	}
	again := n.stopped
	n.stopped = true
	if n.cancel != nil {
		n.cancel()
	}
	if c.losesWaiting && n.other() == nil {
		c.waiting = nil
	}
	return c.stopWaitsNever || c.stopWaitsOnce && again
}

func (n *node) CancelJob(_ context.Context, job string) error {
	c := n.c
	c.mu.Lock()
	defer c.mu.Unlock()
	concerns := func(t bulkexport.Task) bool {
		return (t.JobID == job || c.cancelsAllJobs) && (t.Kind != bulkexport.TaskDelete || c.cancelsDeletes)
	}
	if !c.cancelKeepsQueue {
		c.waiting = slices.DeleteFunc(c.waiting, func(e entry) bool { return concerns(e.task) })
	}
	if c.cancelLasts {
		c.change = func(t bulkexport.Task) bulkexport.Task {
			if concerns(t) {
				t.Kind = "dropped"
			}
			return t
		}
	}
	for _, p := range c.working {
		if concerns(p.task) && !c.cancelKeepsRunning && (!c.cancelsHere || p.node == n) {
			p.cancelled = true
			p.cancel()
		}
	}
	return nil
}

func (n *node) Schedule(name string, every time.Duration, fn func(context.Context) error) error {
	if n.plans == nil {
		n.plans = map[string]plan{}
	}
	n.plans[name] = plan{every, fn}
	return nil
}

// see sees to a schedule for as long as there is a node that has it.
func (c *cluster) see(n *node, name string) {
	for n != nil {
		every, err := c.call(n, name)
		if c.schedulesOnce || c.scheduleEndsWithError && err != nil {
			return
		}
		select {
		case <-time.After(every):
		case <-n.ctx.Done():
		case <-n.dead:
		}
		n = c.next(n, name)
	}
}

// next returns the node that calls a schedule's function next.
func (c *cluster) next(n *node, name string) *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	fits := func(n *node) bool { return n.started && !n.stopped && n.plans[name].fn != nil }
	switch {
	case fits(n):
		return n
	case c.scheduleEndsWithStop, c.schedulesPerNode, c.scheduleEndsWithDeath && isClosed(n.dead):
		return nil
	}
	i := slices.IndexFunc(c.nodes, fits)
	if i < 0 {
		c.schedules[name] = false
		return nil
	}
	return c.nodes[i]
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (c *cluster) call(n *node, name string) (every time.Duration, err error) {
	c.mu.Lock()
	p, ctx := n.plans[name], n.ctx
	returned := make(chan error, 1)
	if !n.stopped {
		n.running.Add(1)
		go func() {
			defer n.running.Done()
			if c.schedulesWait {
				c.serial <- struct{}{}
				defer func() { <-c.serial }()
			}
			returned <- p.fn(ctx)
		}()
	} else {
		returned <- nil
	}
	c.mu.Unlock()
	if c.schedulesOverlap {
		return p.every, nil
	}
	select {
	case err = <-returned:
	case <-n.dead:
	}
	return p.every, err
}

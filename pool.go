package bulkexport

import (
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Pool is the [Runner] in this process: a fixed number of workers. Tenants take
// turns, and within a tenant tasks go first in, first out, but those that have to
// wait for a ceiling let others pass. A failed task comes again after a pause that
// grows from half a second to half a minute. What is queued is forgotten when the
// process ends.
type Pool struct {
	workers  int
	ceilings Ceilings

	mu   sync.Mutex
	wake sync.Cond // on mu: there may be a task to take, or closed is set
	// queues has the waiting tasks of each tenant; turns has the tenants with
	// any, the next one first.
	queues  map[string][]Task
	turns   []string
	queued  map[Task]bool
	running map[Task]context.CancelFunc
	parts   partCount // those in running
	retries map[Task]*retry
	cancel  context.CancelFunc // ends all tasks; nil before Start
	closed  bool
	done    sync.WaitGroup
}

// retry is the state of a task that has failed: waiting while timer is set.
type retry struct {
	pause *backoff.ExponentialBackOff
	timer *time.Timer
}

// NewPool returns a pool of so many workers; 0 means one for each processor.
func NewPool(workers int) *Pool { return NewLimitedPool(workers, Ceilings{}) }

// NewLimitedPool returns a pool of so many workers, which performs no more parts
// at once than the ceilings allow; the rest of the workers are for other tasks.
// What is 0 or negative is no bound. One pool has one queue: exporters with a
// pool each do not share its ceilings.
func NewLimitedPool(workers int, ceilings Ceilings) *Pool {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	p := &Pool{
		workers:  workers,
		ceilings: ceilings,
		queues:   map[string][]Task{},
		queued:   map[Task]bool{},
		running:  map[Task]context.CancelFunc{},
		parts:    partCount{jobs: map[string]int{}, tenants: map[string]int{}},
		retries:  map[Task]*retry{},
	}
	p.wake.L = &p.mu
	return p
}

var _ interface {
	Runner
	RunnerCanceler
} = (*Pool)(nil)

// Enqueue implements [Runner]. A task that waits already is not queued twice;
// one that is being performed is performed once more afterwards. Before Start,
// tasks are forgotten: an exporter that starts looks for all that is due.
func (p *Pool) Enqueue(_ context.Context, tasks ...Task) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrStopped
	}
	if p.cancel == nil {
		return nil
	}
	for _, task := range tasks {
		if r := p.retries[task]; r == nil || r.timer == nil {
			p.push(task)
		}
	}
	return nil
}

func (p *Pool) push(task Task) {
	if p.queued[task] {
		return
	}
	p.queued[task] = true
	queue := p.queues[task.Tenant]
	if len(queue) == 0 {
		p.turns = append(p.turns, task.Tenant)
	}
	p.queues[task.Tenant] = append(queue, task)
	p.wake.Signal()
}

// Start implements [Runner]. A pool serves one exporter: a second call is an
// error.
func (p *Pool) Start(ctx context.Context, fn func(context.Context, Task) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrStopped
	}
	if p.cancel != nil {
		return errors.New("pool is started already")
	}
	ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for range p.workers {
		p.hire(ctx, fn)
	}
	return nil
}

// hire starts a worker. One that is ended from within, by runtime.Goexit, which
// is what a failing test does, is replaced.
func (p *Pool) hire(ctx context.Context, fn func(context.Context, Task) error) {
	p.done.Go(func() {
		ended := false
		defer func() {
			if !ended {
				p.hire(ctx, fn)
			}
		}()
		for p.work(ctx, fn) {
		}
		ended = true
	})
}

// Stop implements [Runner].
func (p *Pool) Stop(ctx context.Context) error {
	p.mu.Lock()
	p.closed = true
	if p.cancel != nil {
		p.cancel()
	}
	for _, r := range p.retries {
		r.stop()
	}
	p.wake.Broadcast()
	p.mu.Unlock()

	idle := make(chan struct{})
	go func() {
		p.done.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CancelJob implements [RunnerCanceler]. Tasks that delete stay.
func (p *Pool) CancelJob(_ context.Context, jobID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	concerns := func(t Task) bool { return t.JobID == jobID && t.Kind != TaskDelete }
	for tenant, queue := range p.queues {
		p.setQueue(tenant, slices.DeleteFunc(queue, concerns))
	}
	maps.DeleteFunc(p.queued, func(t Task, _ bool) bool { return concerns(t) })
	for task, cancel := range p.running {
		if concerns(task) {
			cancel()
		}
	}
	for task, r := range p.retries {
		if concerns(task) {
			r.stop()
			delete(p.retries, task)
		}
	}
	return nil
}

var errAborted = errors.New("task was aborted")

// work performs one task. It returns false when there will be no more.
func (p *Pool) work(ctx context.Context, fn func(context.Context, Task) error) bool {
	task, taskCtx, ok := p.take(ctx)
	if !ok {
		return false
	}
	err := errAborted
	defer func() { p.finish(ctx, task, err) }()
	err = fn(taskCtx, task)
	return true
}

// take waits for a task and marks it as running.
func (p *Pool) take(ctx context.Context) (Task, context.Context, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		if p.closed {
			return Task{}, nil, false
		}
		if task, ok := p.next(); ok {
			taskCtx, cancel := context.WithCancel(ctx)
			p.running[task] = cancel
			p.parts.add(task, 1)
			return task, taskCtx, true
		}
		p.wake.Wait()
	}
}

// next takes the first task that is not running, and may be, from the first
// tenant that has one, and sends that tenant to the end of the line.
func (p *Pool) next() (Task, bool) {
	for n, tenant := range p.turns {
		queue := p.queues[tenant]
		i := slices.IndexFunc(queue, func(t Task) bool {
			return p.parts.below(p.ceilings, t) && p.running[t] == nil
		})
		if i < 0 {
			continue
		}
		task := queue[i]
		delete(p.queued, task)
		p.turns = append(slices.Delete(p.turns, n, n+1), tenant)
		p.setQueue(tenant, slices.Delete(queue, i, i+1))
		return task, true
	}
	return Task{}, false
}

func (p *Pool) unqueue(task Task) {
	if p.queued[task] {
		delete(p.queued, task)
		p.setQueue(task.Tenant, slices.DeleteFunc(p.queues[task.Tenant], func(t Task) bool { return t == task }))
	}
}

func (p *Pool) setQueue(tenant string, queue []Task) {
	if len(queue) > 0 {
		p.queues[tenant] = queue
		return
	}
	delete(p.queues, tenant)
	p.turns = slices.DeleteFunc(p.turns, func(t string) bool { return t == tenant })
}

// finish ends a task, and puts it off when it failed.
func (p *Pool) finish(ctx context.Context, task Task, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[task]()
	delete(p.running, task)
	p.parts.add(task, -1)
	p.wake.Broadcast()
	if err == nil {
		delete(p.retries, task)
		return
	}
	if p.closed || ctx.Err() != nil {
		return
	}
	// It comes again after its pause, and not at once because somebody has
	// enqueued it meanwhile.
	p.unqueue(task)
	r := p.retries[task]
	if r == nil {
		r = &retry{pause: newPauses()}
		p.retries[task] = r
	}
	r.timer = time.AfterFunc(r.pause.NextBackOff(), func() { p.again(task, r) })
}

// again queues a task whose pause is over, unless it was cancelled meanwhile.
func (p *Pool) again(task Task, r *retry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.retries[task] != r {
		return
	}
	r.timer = nil
	p.push(task)
}

func (r *retry) stop() {
	if r.timer != nil {
		r.timer.Stop()
	}
}

// partCount counts the parts that are being performed.
type partCount struct {
	jobs, tenants map[string]int
	total         int
}

func (c *partCount) add(task Task, n int) {
	if task.Kind != TaskPart {
		return
	}
	c.total += n
	count(c.jobs, task.JobID, n)
	count(c.tenants, task.Tenant, n)
}

// count forgets what is at 0, so that counts do not grow with all there ever was.
func count(counts map[string]int, key string, n int) {
	if counts[key] += n; counts[key] == 0 {
		delete(counts, key)
	}
}

// below reports whether one more task leaves the ceilings kept.
func (c *partCount) below(l Ceilings, task Task) bool {
	fits := func(n, limit int) bool { return limit <= 0 || n < limit }
	return task.Kind != TaskPart ||
		fits(c.total, l.Total) && fits(c.tenants[task.Tenant], l.Tenant) && fits(c.jobs[task.JobID], l.Job)
}

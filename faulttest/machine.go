package faulttest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// clock shows the real time, and what it was moved on.
type clock struct {
	mu     sync.Mutex
	offset time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset)
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

// queue is the runner of a machine, which takes the tasks from it.
type queue struct {
	mu      sync.Mutex
	tasks   []bulkexport.Task
	stopped bool
}

// Enqueue implements [bulkexport.Runner].
func (q *queue) Enqueue(_ context.Context, tasks ...bulkexport.Task) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return bulkexport.ErrStopped
	}
	q.tasks = append(q.tasks, tasks...)
	return nil
}

// Start implements [bulkexport.Runner].
func (*queue) Start(context.Context, func(context.Context, bulkexport.Task) error) error { return nil }

// Stop implements [bulkexport.Runner].
func (*queue) Stop(context.Context) error { return nil }

func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped, q.tasks = true, nil
}

func (q *queue) pop() (bulkexport.Task, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.tasks) == 0 {
		return bulkexport.Task{}, false
	}
	task := q.tasks[0]
	q.tasks = q.tasks[1:]
	return task, true
}

// machine is a process with the exporter in it, which does one thing after the
// other, or one within the other.
type machine struct {
	*Process
	exporter *bulkexport.Exporter
	queue    *queue
	// ctx is that of its tasks; stop cancels it.
	ctx    context.Context
	cancel context.CancelFunc

	// escaped is told of panics that should not have left the exporter.
	escaped func(what string)

	mu      sync.Mutex
	open    []*action
	current []bulkexport.Task // the tasks it is about, the innermost last
	failed  []bulkexport.Task // to be delivered again later
	stopped bool
}

// action is something that a machine does in a goroutine of its own, which waits
// where it is when the machine freezes.
type action struct {
	done chan struct{}
	err  error
}

var (
	errFrozen   = errors.New("the process is frozen")
	errPanicked = errors.New("the source panicked")
)

// newMachine starts a machine on parts that are its own.
func newMachine(p *Process, parts Parts, cfg bulkexport.Config, items int) (*machine, error) {
	m := &machine{Process: p, queue: &queue{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	cfg.Source = p.Source(parts.Source, items, cfg.Now)
	cfg.Store = &store{p: p, inner: parts.Store, now: cfg.Now}
	cfg.Sink, cfg.Runner = p.Sink(parts.Sink), p.Runner(m.queue)
	associated := map[string]bulkexport.ResourceSource{}
	for name, source := range cfg.AssociatedData {
		associated[name] = p.Source(source, items, cfg.Now)
	}
	cfg.AssociatedData = associated
	var err error
	m.exporter, err = bulkexport.New(cfg)
	return m, err
}

// stop stops it in order.
func (m *machine) stop() {
	m.mu.Lock()
	m.stopped = true
	m.mu.Unlock()
	m.queue.stop()
	m.cancel()
}

func (m *machine) usable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.stopped && !m.Dead()
}

// do does something and waits until it has ended, or the machine is frozen.
func (m *machine) do(fn func() error) error {
	a := &action{done: make(chan struct{})}
	m.mu.Lock()
	m.open = append(m.open, a)
	m.mu.Unlock()
	go func() {
		defer close(a.done)
		defer func() {
			if value := recover(); value == (injectedPanic{}) {
				a.err = errPanicked
			} else if value != nil {
				a.err = fmt.Errorf("panic: %v", value)
				m.escaped(fmt.Sprintf("%v\n%s", value, debug.Stack()))
			}
		}()
		a.err = fn()
	}()
	return m.await(a)
}

// await waits for an action. One that a freeze interrupts is errFrozen.
func (m *machine) await(a *action) error {
	frozen := m.Frozen()
	select {
	case <-a.done:
	case <-frozen:
		select {
		case <-a.done:
		default:
			return errFrozen
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = slices.DeleteFunc(m.open, func(other *action) bool { return other == a })
	return a.err
}

// resume lets a frozen machine go on, with what it was about and with what it
// has in its queue, until it has nothing to do or freezes again.
func (m *machine) resume() {
	m.Thaw()
	m.mu.Lock()
	open := slices.Clone(m.open)
	m.mu.Unlock()
	for _, a := range open {
		_ = m.await(a)
	}
	m.drain()
}

// drain does what is in the queue, as long as it can.
func (m *machine) drain() {
	for m.usable() && !m.isFrozen() {
		task, ok := m.queue.pop()
		if !ok {
			return
		}
		_ = m.perform(task)
	}
}

func (m *machine) isFrozen() bool {
	select {
	case <-m.Frozen():
		return true
	default:
		return false
	}
}

// perform does a task. One that fails is kept for later.
func (m *machine) perform(task bulkexport.Task) error {
	err := m.do(func() error {
		m.enter(task)
		defer m.leave()
		err := m.exporter.Perform(m.ctx, task)
		if err != nil {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.failed = append(m.failed, task)
		}
		return err
	})
	if errors.Is(err, errPanicked) {
		m.escaped(fmt.Sprintf("the source's, in a task %s", task.Kind))
	}
	return err
}

func (m *machine) enter(task bulkexport.Task) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = append(m.current, task)
}

func (m *machine) leave() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = m.current[:len(m.current)-1]
}

func (m *machine) task() (bulkexport.Task, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.current) == 0 {
		return bulkexport.Task{}, false
	}
	return m.current[len(m.current)-1], true
}

// retry puts what has failed into the queue again.
func (m *machine) retry() {
	m.mu.Lock()
	failed := m.failed
	m.failed = nil
	m.mu.Unlock()
	_ = m.queue.Enqueue(m.ctx, failed...) // stopped: it is taken over
}

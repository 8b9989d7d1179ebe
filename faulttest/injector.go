package faulttest

import "sync"

// Hooks tell somebody what an [Injector] does. Nil fields are silent. They are
// called by the goroutine that makes the call, with no lock held, and the call
// waits for them.
type Hooks struct {
	// Strike is called when a fault strikes: after the effect for those that come
	// after it, else before. The injector itself sees to errors, panics, and tasks
	// forgotten or repeated; it kills and freezes the process. [Process.Thaw], and
	// what the other kinds are, is left to the hook.
	Strike func(p *Process, s Strike)
	// Done is called after each call that had its effect, and before a fault that
	// comes after it.
	Done func(p *Process, c Call)

	// describe fills what a call knows of the exporter.
	describe func(p *Process, c *Call)
}

// Injector counts the calls of the processes that share it and makes the faults
// of a schedule strike. It is safe for concurrent use; calls are numbered in
// the order in which they come.
type Injector struct {
	hooks Hooks

	mu        sync.Mutex
	pending   Schedule
	processes int
	calls     []Call
	strikes   []Strike
}

// NewInjector returns an injector for a schedule, which may be empty.
func NewInjector(schedule Schedule, hooks Hooks) *Injector {
	return &Injector{pending: append(Schedule(nil), schedule...), hooks: hooks}
}

// Process returns a new process that is alive.
func (i *Injector) Process() *Process {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.processes++
	return &Process{injector: i, number: i.processes, frozen: make(chan struct{})}
}

// Calls returns all calls so far.
func (i *Injector) Calls() []Call {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Call(nil), i.calls...)
}

// Strikes returns the faults that have struck.
func (i *Injector) Strikes() []Strike {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]Strike(nil), i.strikes...)
}

// Calm lets no more faults strike.
func (i *Injector) Calm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.pending = nil
}

// next numbers a call and takes the fault that is due at it, if any.
func (i *Injector) next(p *Process, c Call) (Call, *Strike) {
	if i.hooks.describe != nil {
		i.hooks.describe(p, &c)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	c.Number, c.Process = len(i.calls)+1, p.number
	i.calls = append(i.calls, c)
	for n, f := range i.pending {
		if f.Call <= c.Number && f.Kind.fits(c) {
			i.pending = i.pending.without(n)
			strike := Strike{f, c}
			i.strikes = append(i.strikes, strike)
			return c, &strike
		}
	}
	return c, nil
}

func (i *Injector) struck(p *Process, s *Strike) {
	if i.hooks.Strike != nil {
		i.hooks.Strike(p, *s)
	}
}

func (i *Injector) done(p *Process, c Call) {
	if i.hooks.Done != nil {
		i.hooks.Done(p, c)
	}
}

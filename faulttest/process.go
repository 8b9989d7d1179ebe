package faulttest

import (
	"context"
	"errors"
	"sync"
)

var (
	// ErrInjected is the error of a call that was made to fail.
	ErrInjected = errors.New("faulttest: injected error")
	// ErrDead is the error of all calls of a process that was killed.
	ErrDead = errors.New("faulttest: the process is dead")
)

// Process stands for one process of a host. An exporter of its own gets all its
// parts through it, which count its calls, and fail once it is dead. It is safe
// for concurrent use.
type Process struct {
	injector *Injector
	number   int

	mu     sync.Mutex
	dead   bool
	thaw   chan struct{} // closed when it goes on; nil unless frozen
	frozen chan struct{} // closed when it freezes
	// writers cancel the contexts of sink writers.
	writers []context.CancelFunc
}

// Kill ends the process, also one that is frozen. From now on its calls are
// [ErrDead] and have no effect; those that are under way have theirs.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead = true
	p.goOn()
}

// Freeze makes all calls of the process wait, until Thaw or Kill.
func (p *Process) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.thaw == nil && !p.dead {
		p.thaw = make(chan struct{})
		close(p.frozen)
	}
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.goOn()
}

func (p *Process) goOn() {
	if p.thaw != nil {
		close(p.thaw)
		p.thaw, p.frozen = nil, make(chan struct{})
	}
}

// Dead reports whether the process was killed.
func (p *Process) Dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

// Frozen returns a channel that is closed once the process freezes, or is if it
// is frozen now.
func (p *Process) Frozen() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen
}

// Bury frees what a killed process still holds open. To be called when nobody
// looks any more at what it left.
func (p *Process) Bury() {
	p.mu.Lock()
	writers := p.writers
	p.writers = nil
	p.mu.Unlock()
	for _, cancel := range writers {
		cancel()
	}
}

// pass waits while the process is frozen.
func (p *Process) pass() error {
	for {
		p.mu.Lock()
		dead, thaw := p.dead, p.thaw
		p.mu.Unlock()
		switch {
		case dead:
			return ErrDead
		case thaw == nil:
			return nil
		}
		<-thaw
	}
}

// call makes one call, with the fault that is due at it. fn has its effect.
func (p *Process) call(c Call, fn func() error) error {
	return p.strikable(c, func(*Strike) error { return fn() })
}

// strikable is call for those who see to a fault themselves.
func (p *Process) strikable(c Call, fn func(*Strike) error) error {
	if err := p.pass(); err != nil {
		return err
	}
	c, strike := p.injector.next(p, c)
	if strike != nil && !strike.Kind.after() {
		if err := p.strike(strike); err != nil {
			return err
		}
	}
	err := fn(strike)
	if err := p.pass(); err != nil {
		return err
	}
	if err == nil {
		p.injector.done(p, c)
	}
	if strike != nil && strike.Kind.after() {
		if fault := p.strike(strike); fault != nil {
			return fault
		}
	}
	return err
}

// strike lets a fault strike. nil means that the call goes on.
func (p *Process) strike(s *Strike) error {
	switch s.Kind {
	case KillBefore, KillAfter:
		p.Kill()
	case FreezeBefore, FreezeAfter:
		p.Freeze()
	default:
	}
	p.injector.struck(p, s)
	switch s.Kind {
	case ErrorBefore, ErrorAfter:
		return ErrInjected
	case Panic:
		panic(injectedPanic{})
	default:
	}
	return p.pass()
}

type injectedPanic struct{}

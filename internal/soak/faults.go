//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// faults disturbs the process of a slot until ctx ends, and leaves it running.
// Each slot has a goroutine of its own, so that faults of several servers overlap.
func (c *cluster) faults(ctx context.Context, rng *rand.Rand, s *slot) {
	next := func() <-chan time.Time {
		return time.After(between(rng, c.soak.faultPause/4, c.soak.faultPause))
	}
	for due := next(); ; {
		select {
		case <-s.ambush:
			pause(ctx, between(rng, 0, 3*time.Millisecond))
			c.kill(ctx, rng, s)
		case <-due:
			c.fault(ctx, rng, s)
			due = next()
		case <-s.ended():
			c.soak.violate("server %d ended by itself:\n%s", s.index, tail(s.process.Log()))
			c.kill(ctx, rng, s)
		case <-ctx.Done():
			return
		}
	}
}

func (c *cluster) fault(ctx context.Context, rng *rand.Rand, s *slot) {
	switch n := rng.IntN(10); {
	case n < 4:
		c.kill(ctx, rng, s)
	case n < 6:
		c.terminateAndRestart(ctx, rng, s)
	case n < 9:
		c.freeze(ctx, rng, s)
	default: // it dies in its sleep
		c.sleep(ctx, rng, s)
		c.kill(ctx, rng, s)
	}
}

// offer has a server killed, once in so many times, while it does what it is
// asked next.
func (c *cluster) offer(rng *rand.Rand, s *slot, once int) {
	if rng.IntN(once) > 0 {
		return
	}
	select {
	case s.ambush <- struct{}{}:
	default: // there is a fault under way
	}
}

func between(rng *rand.Rand, least, most time.Duration) time.Duration {
	return least + time.Duration(rng.Int64N(int64(most-least)+1))
}

// kill ends a process as a crash does, and starts another one, perhaps later.
func (c *cluster) kill(ctx context.Context, rng *rand.Rand, s *slot) {
	if p := c.disturb(s); p != nil {
		p.Kill()
		c.soak.count.kills.Add(1)
		c.vacate(p, s)
	}
	c.rest(ctx, rng)
	c.restart(ctx, rng, s)
}

// rest leaves a slot empty for a while, or not at all.
func (c *cluster) rest(ctx context.Context, rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		pause(ctx, between(rng, 0, 3*lease))
	}
}

func (c *cluster) terminateAndRestart(ctx context.Context, rng *rand.Rand, s *slot) {
	if p := c.disturb(s); p != nil {
		c.terminate(context.WithoutCancel(ctx), p, s)
	}
	c.rest(ctx, rng)
	c.restart(ctx, rng, s)
}

// terminate has a process drain.
func (c *cluster) terminate(ctx context.Context, p *serverproc.Process, s *slot) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := p.Terminate(ctx); err != nil {
		c.soak.violate("server %d does not drain: %v\n%s", s.index, err, tail(p.Log()))
	}
	c.soak.count.terminates.Add(1)
	c.vacate(p, s)
}

// freeze stops a process for longer than its lease. It wakes up in the belief
// that nothing has happened.
func (c *cluster) freeze(ctx context.Context, rng *rand.Rand, s *slot) {
	c.sleep(ctx, rng, s)
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if p == nil {
		return
	}
	if err := p.Thaw(); err != nil {
		c.soak.violate("thaw: %v", err)
	}
	c.note()
	s.mu.Lock()
	s.ready = true
	s.mu.Unlock()
}

// sleep stops a process and does not wake it up.
func (c *cluster) sleep(ctx context.Context, rng *rand.Rand, s *slot) {
	p := c.disturb(s)
	if p == nil {
		return
	}
	if err := p.Freeze(); err != nil {
		c.soak.violate("freeze: %v", err)
	}
	c.soak.count.freezes.Add(1)
	pause(ctx, between(rng, lease+lease/5, 3*lease))
}

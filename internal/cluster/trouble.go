//go:build unix

package main

import (
	"context"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/fleet"
)

// postgresRestarts is the mode postgres.
func postgresRestarts(ctx context.Context, r *rig) error {
	if err := r.startSlow(ctx, nil); err != nil {
		return err
	}
	return r.campaign(ctx, func(ctx context.Context) {
		rng, n := r.random(1001), 0
		for ; pause(ctx, about(rng, r.pause)); n++ {
			away := about(rng, r.pause/2)
			if n%2 == 1 {
				away = r.outage
			}
			r.fleet.Postgres.Halt()
			pause(context.WithoutCancel(ctx), away)
			if err := r.fleet.Postgres.Resume(context.WithoutCancel(ctx)); err != nil {
				r.violate("PostgreSQL does not start again: %v", err)
				return
			}
		}
		r.report("restarts of PostgreSQL", "%d, of them after %v %d", n, r.outage, n/2)
	})
}

// outages is the mode s3.
func outages(ctx context.Context, r *rig) error {
	if err := r.startSlow(ctx, nil); err != nil {
		return err
	}
	return r.campaign(ctx, func(ctx context.Context) {
		rng, n := r.random(1002), 0
		for ; pause(ctx, about(rng, r.pause)); n++ {
			r.fleet.S3.Halt()
			pause(context.WithoutCancel(ctx), r.outage)
			if err := r.fleet.S3.Resume(context.WithoutCancel(ctx)); err != nil {
				r.violate("S3 does not start again: %v", err)
				return
			}
		}
		r.report("outages of S3", "%d of %v", n, r.outage)
	})
}

// freezes is the mode freeze.
func freezes(ctx context.Context, r *rig) error {
	if err := r.startSlow(ctx, nil); err != nil {
		return err
	}
	return r.campaign(ctx, func(ctx context.Context) {
		rng, frozen, taken := r.random(1003), 0, 0
		for pause(ctx, about(rng, r.pause)) {
			for _, s := range r.shuffled(rng) {
				n, found := r.freezeIn(ctx, s)
				if n {
					frozen++
					taken += found
					break
				}
			}
		}
		r.report("freezes", "%d of %v", frozen, r.freeze)
		r.report("parts taken from frozen nodes", "%d", taken)
	})
}

// freezeIn stops a node that is at something, and lets it go on when that has been
// taken from it. It returns how many parts were.
func (r *rig) freezeIn(ctx context.Context, s *seat) (frozen bool, taken int) {
	ctx = context.WithoutCancel(ctx)
	n := s.peek()
	if held, err := r.held(ctx, n.ID); err != nil || len(held) == 0 {
		return false, 0
	}
	s.leave()
	defer s.take(n)
	if err := n.Freeze(); err != nil {
		r.violate("freeze: %v", err)
		return false, 0
	}
	held, err := r.held(ctx, n.ID)
	if err != nil {
		r.say("look for what the frozen node is at: %v", err)
	}
	pause(ctx, r.freeze)
	taken = r.countTaken(ctx, held)
	if err := n.Thaw(); err != nil {
		r.violate("thaw: %v", err)
	}
	return true, taken
}

// countTaken counts the parts that others have claimed.
func (r *rig) countTaken(ctx context.Context, held map[fleet.Held]bulkexport.Part) (taken int) {
	for h, was := range held {
		if is, err := r.part(ctx, h); err == nil && is != nil && is.Attempt > was.Attempt {
			taken++
			r.sample(redoneName, float64(was.Seen-was.Processed))
		}
	}
	return taken
}

// twice is the mode twice.
func twice(ctx context.Context, r *rig) error {
	err := r.startSlow(ctx, func(int) []string { return []string{"-deliver-twice"} })
	if err != nil {
		return err
	}
	return r.campaign(ctx, r.killAgainAndAgain)
}

// clocks is the mode clocks: the first node is right, the others are not.
func clocks(ctx context.Context, r *rig) error {
	err := r.startSlow(ctx, func(i int) []string {
		ahead := []time.Duration{0, 10 * time.Minute, -10 * time.Minute}[i%3]
		return []string{"-clock-ahead=" + ahead.String()}
	})
	if err != nil {
		return err
	}
	return r.campaign(ctx, r.killAgainAndAgain)
}

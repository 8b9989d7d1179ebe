//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/fleet"
)

const (
	// Until a part is in the queue again, which is what the lease and the sweeps are
	// about, and until a worker has come to it.
	queuedName   = "kill until the parts are queued (s)"
	takeOverName = "kill until they are begun (s)"
	// The leader sweeps. Without it others wait until the node counts as dead.
	leaderLives = ", a leader lives"
	noLeader    = ", no leader lives"
	// As of the last heartbeat.
	redoneName = "resources redone for each part taken over"
)

// kills is the mode kill.
func kills(ctx context.Context, r *rig) error {
	if err := r.startSlow(ctx, nil); err != nil {
		return err
	}
	return r.campaign(ctx, r.killAgainAndAgain)
}

// killAgainAndAgain kills a node every few seconds, each third time the leader, and
// starts it again.
func (r *rig) killAgainAndAgain(ctx context.Context) {
	rng := r.random(1000)
	var watching sync.WaitGroup
	defer watching.Wait()
	killed, leaders := 0, 0
	for ; pause(ctx, about(rng, r.pause)); killed++ {
		leader, err := r.fleet.Leader(ctx)
		if err != nil {
			r.say("look for the leader: %v", err)
		}
		s := r.seats[rng.IntN(len(r.seats))]
		if found := r.seatOf(leader); found != nil && killed%3 == 0 {
			s = found
		}
		n := s.leave()
		if n == nil {
			continue
		}
		n.Kill()
		at := time.Now()
		when := leaderLives
		if n.ID == leader {
			leaders++
		}
		if r.seatOf(leader) == nil { // it is this one, or has died before
			when = noLeader
		}
		r.readLog(n)
		watching.Go(func() { r.awaitTakeOver(context.WithoutCancel(ctx), n.ID, when, at) })
		pause(ctx, about(rng, r.pause/2))
		if err := r.startIn(ctx, s); err != nil {
			r.violate("restart: %v", err)
			return
		}
	}
	r.report("kills", "%d, of them of the leader %d", killed, leaders)
}

func (r *rig) seatOf(id string) *seat {
	for _, s := range r.seats {
		if n := s.peek(); n != nil && n.ID == id {
			return s
		}
	}
	return nil
}

// held returns the parts that a node is at, as the store knows them.
func (r *rig) held(ctx context.Context, id string) (map[fleet.Held]bulkexport.Part, error) {
	all, err := r.fleet.Held(ctx)
	if err != nil {
		return nil, err
	}
	found := map[fleet.Held]bulkexport.Part{}
	for _, h := range all {
		if h.Node != id {
			continue
		}
		part, err := r.part(ctx, h)
		if err != nil {
			return nil, err
		}
		if part != nil && !part.Done && !part.LeaseUntil.IsZero() {
			found[h] = *part
		}
	}
	return found, nil
}

// part returns nil for one that is gone, with its job.
func (r *rig) part(ctx context.Context, h fleet.Held) (*bulkexport.Part, error) {
	parts, err := r.store.Parts(ctx, h.Job)
	if err != nil || h.Part >= len(parts) {
		return nil, err
	}
	return &parts[h.Part], nil
}

// awaitTakeOver measures when what a node was at is claimed by another one.
func (r *rig) awaitTakeOver(ctx context.Context, id, when string, died time.Time) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	waiting, err := r.held(ctx, id)
	if err != nil {
		r.say("look for what the node was at: %v", err)
		return
	}
	for _, part := range waiting {
		r.sample(redoneName, float64(part.Seen-part.Processed))
	}
	var watching sync.WaitGroup
	for h, part := range waiting {
		watching.Go(func() { r.watchPart(ctx, h, part.Attempt, died, when) })
	}
	watching.Wait()
}

// watchPart measures what becomes of one part. In the end somebody has begun it, or its
// worker had just committed the last of it, or its job is gone.
func (r *rig) watchPart(ctx context.Context, h fleet.Held, attempt int, died time.Time, when string) {
	queued, begun := queuedName+when, takeOverName+when
	seen := false
	for {
		is, err := r.part(ctx, h)
		switch {
		case err != nil: // PostgreSQL may be away
		case is == nil, is.Done && is.Attempt == attempt:
			return
		case is.Attempt > attempt:
			if !seen {
				r.sample(queued, time.Since(died).Seconds())
			}
			r.sample(begun, time.Since(died).Seconds())
			return
		case !seen:
			if seen, err = r.fleet.Queued(ctx, h); seen && err == nil {
				r.sample(queued, time.Since(died).Seconds())
			}
		}
		if !pause(ctx, 30*time.Millisecond) {
			r.violate("part %d of a dead node is taken over by nobody", h.Part)
			return
		}
	}
}

// shuffled returns the seats in any order.
func (r *rig) shuffled(rng *rand.Rand) []*seat {
	seats := make([]*seat, 0, len(r.seats))
	for _, i := range rng.Perm(len(r.seats)) {
		seats = append(seats, r.seats[i])
	}
	return seats
}

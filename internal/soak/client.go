//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// behave is the life of a client: it exports, in one way or another, until it is
// time to close, and ends what it has begun. ctx ends what cannot be ended.
func (s *soak) behave(ctx context.Context, rng *rand.Rand, c client) {
	var earlier time.Time // the transaction time of an export of its
	for pause(ctx, between(rng, 0, 300*time.Millisecond)) && !s.closing() {
		var err error
		switch n := rng.IntN(10); {
		case n < 3:
			earlier, err = s.chain(ctx, rng, c)
		case n < 6:
			err = s.revisit(ctx, rng)
		default:
			err = s.single(ctx, rng, c, anyAsk(rng, c.tenant, s.world.patients, earlier))
		}
		if err != nil && ctx.Err() == nil {
			s.violate("client %s: %v", c.name, err)
		}
	}
}

// single makes an export, and perhaps deletes it while it runs.
func (s *soak) single(ctx context.Context, rng *rand.Rand, c client, a ask) error {
	deleteAfter := -1
	if rng.IntN(5) == 0 {
		deleteAfter = rng.IntN(10)
	}
	j, _, o, err := s.export(ctx, rng, c, a, deleteAfter)
	if err == nil && o == completed {
		err = j.leave(ctx, rng)
	}
	return err
}

// export makes an export and checks it. Unless it is completed, nothing is left
// to do with the job.
func (s *soak) export(
	ctx context.Context, rng *rand.Rand, c client, a ask, deleteAfter int,
) (j *job, found content, o outcome, err error) {
	j, err = s.kickOff(ctx, rng, c, a)
	if j == nil || err != nil {
		return j, found, broken, err
	}
	s.running.Store(j.id, time.Now())
	defer s.running.Delete(j.id)
	o, err = j.await(ctx, rng, deleteAfter)
	if err == nil && o == completed {
		s.count.completed.Add(1)
		found, o, err = j.collect(ctx, rng)
	}
	if err != nil {
		return j, found, o, err
	}
	switch o {
	case completed:
	case deleted:
		s.count.deleted.Add(1)
	case expired:
		s.count.expired.Add(1)
	case broken:
		err = j.delete(ctx, rng)
	}
	return j, found, o, err
}

// chain makes a full export and then incremental ones, and applies them as they
// come. Each time that must give the whole. It returns a transaction time.
func (s *soak) chain(ctx context.Context, rng *rand.Rand, c client) (time.Time, error) {
	j, state, o, err := s.export(ctx, rng, c, everything(c.tenant), -1)
	if err != nil || o != completed {
		return time.Time{}, err
	}
	for range 1 + rng.IntN(5) {
		if s.closing() || !pause(ctx, between(rng, 0, 2*time.Second)) {
			break
		}
		a := everything(c.tenant).since(j.at)
		a.post = rng.IntN(3) == 0
		next, found, o, err := s.export(ctx, rng, c, a, -1)
		if err != nil {
			return j.at, err
		}
		if o != completed {
			break
		}
		state.apply(found)
		want := s.world.expect(selection{tenant: c.tenant, at: next.at.UnixMicro()})
		next.report("chain", state.compare(c.tenant, want.output))
		s.count.links.Add(1)
		if err := j.leave(ctx, rng); err != nil {
			return j.at, err
		}
		j = next
	}
	s.count.chains.Add(1)
	return j.at, j.leave(ctx, rng)
}

//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// cleanAfter bounds how long the files of a job that is gone may stay, with
// servers down or frozen meanwhile.
const cleanAfter = 45 * time.Second

// maxGraves bounds how many jobs that are gone are remembered.
const maxGraves = 500

// grave is a job that must be gone for ever.
type grave struct {
	job   *job
	since time.Time
}

type graveyard struct {
	mu     sync.Mutex
	graves []*grave
}

// bury remembers that the job is gone from a moment on. It may have expired
// before.
func (j *job) bury(since time.Time) *grave {
	g := &grave{j, since}
	y := &j.soak.graveyard
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(y.graves) == maxGraves {
		y.graves = y.graves[1:]
	}
	y.graves = append(y.graves, g)
	return g
}

func (y *graveyard) pick(rng *rand.Rand) *grave {
	y.mu.Lock()
	defer y.mu.Unlock()
	if len(y.graves) == 0 {
		return nil
	}
	return y.graves[rng.IntN(len(y.graves))]
}

// visit checks that a server knows nothing of the job.
func (g *grave) visit(ctx context.Context, to *server) error {
	path := g.job.path()
	calls := []call{g.job.call(http.MethodGet), {method: http.MethodDelete, path: path, token: g.job.client.token}}
	for _, f := range g.job.manifest.Output[:min(1, len(g.job.manifest.Output))] {
		calls = append(calls, call{method: http.MethodGet, path: f.path(), token: g.job.client.token})
	}
	for _, c := range calls {
		r, err := g.job.soak.once(ctx, to, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if g.job.soak.answered(to, c, r, err) && r.status != http.StatusNotFound {
			g.job.violate("%s %s: %d of server %d after it was gone", c.method, c.path, r.status, to.index)
		}
	}
	g.job.soak.count.visits.Add(1)
	return nil
}

// haunt visits graves until ctx ends.
func (s *soak) haunt(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, between(rng, 0, 400*time.Millisecond)) {
		g := s.graveyard.pick(rng)
		if g == nil || time.Now().Before(g.since) {
			continue
		}
		to, err := s.cluster.pick(ctx, rng)
		if err != nil || g.visit(ctx, to) != nil {
			return
		}
		if time.Since(g.since) > cleanAfter && s.store.hasFiles(g.job.id) {
			g.job.violate("its files are still there %v after it was gone", time.Since(g.since).Round(time.Second))
		}
	}
}

//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"strconv"
	"time"
)

// outcome is what became of a job, as its client sees it.
type outcome int

const (
	completed outcome = iota
	deleted           // by its client
	expired
	broken // there was a violation
)

// stuckAfter is how long a job may go without progress.
const stuckAfter = 2 * time.Minute

// job is an export from the client's side.
type job struct {
	soak   *soak
	client client
	ask    ask
	id     string
	alive  time.Time // when it was last known to be there
	shown  progress
	moved  time.Time // when that changed

	manifest manifest
	at       time.Time // the transaction time
	expires  time.Time // to the second, rounded down
}

type progress struct{ percent, done int64 }

func (j *job) path() string { return "/bulk-export/" + j.id }

func (j *job) call(method string) call {
	return call{method: method, path: j.path(), token: j.client.token}
}

func (j *job) violate(format string, args ...any) outcome {
	j.soak.violate("job %s of %s@%s, %s: %s", j.id, j.client.name, j.client.tenant, j.ask, fmt.Sprintf(format, args...))
	return broken
}

var locationPattern = regexp.MustCompile(`^http://[^/]+/bulk-export/([a-z2-7]{26})$`)

// kickOff starts an export. nil, without an error, means that there was a
// violation.
func (s *soak) kickOff(ctx context.Context, rng *rand.Rand, c client, a ask) (*job, error) {
	r, err := s.do(ctx, rng, a.call(c.token))
	if err != nil {
		return nil, err
	}
	s.count.lost.Add(int64(r.tries))
	location := locationPattern.FindStringSubmatch(r.header.Get("Content-Location"))
	if r.status != http.StatusAccepted || location == nil {
		s.violate("kick-off %s: %d %s", a, r.status, r.body)
		return nil, nil
	}
	s.count.jobs.Add(1)
	now := time.Now()
	return &job{soak: s, client: c, ask: a, id: location[1], alive: now, moved: now}, nil
}

// await polls until the job has ended. It deletes the job after so many polls,
// unless that is negative.
func (j *job) await(ctx context.Context, rng *rand.Rand, deleteAfter int) (outcome, error) {
	for polls := 0; ; polls++ {
		if polls == deleteAfter {
			return deleted, j.delete(ctx, rng)
		}
		r, err := j.soak.do(ctx, rng, j.call(http.MethodGet))
		if err != nil {
			return broken, err
		}
		j.soak.count.polls.Add(1)
		if ended, o := j.heed(r); ended {
			return o, nil
		}
		if rng.IntN(20) == 0 {
			if err := j.spy(ctx, rng, j.path()); err != nil {
				return broken, err
			}
		}
		if !pause(ctx, between(rng, 10*time.Millisecond, 300*time.Millisecond)) {
			return broken, ctx.Err()
		}
	}
}

// heed takes the answer to a poll.
func (j *job) heed(r reply) (ended bool, o outcome) {
	switch r.status {
	case http.StatusAccepted:
		j.alive = r.began
		j.follow(r)
		if time.Since(j.moved) > stuckAfter {
			return true, j.violate("stuck at %d%% (%d resources)", j.shown.percent, j.shown.done)
		}
		return false, 0
	case http.StatusOK:
		j.alive = r.began
		return true, j.readManifest(r)
	case http.StatusNotFound:
		if j.mayHaveExpired() {
			return true, expired
		}
		return true, j.violate("404 although it was not deleted")
	case http.StatusInternalServerError:
		j.soak.count.failed.Add(1)
		return true, j.violate("failed: %s", r.body)
	}
	return true, j.violate("polled: %d %s", r.status, r.body)
}

// mayHaveExpired reports whether the job's time may be over. If it was not seen
// to end, that may have been right after it was last seen.
func (j *job) mayHaveExpired() bool {
	if j.expires.IsZero() {
		return time.Since(j.alive) >= shortTTL
	}
	return !time.Now().Before(j.expires)
}

var progressPattern = regexp.MustCompile(`^(\d+)% \((\d+)(?: / (\d+))? resources(?:, trying again after an error)?\)$`)

// follow checks that progress only grows, whoever tells it.
func (j *job) follow(r reply) {
	found := progressPattern.FindStringSubmatch(r.header.Get("X-Progress"))
	if wait, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || wait < 1 {
		j.violate("Retry-After: %q", r.header.Get("Retry-After"))
	}
	if found == nil {
		j.violate("X-Progress: %q", r.header.Get("X-Progress"))
		return
	}
	var now progress
	now.percent, _ = strconv.ParseInt(found[1], 10, 64)
	now.done, _ = strconv.ParseInt(found[2], 10, 64)
	if now.percent < j.shown.percent || now.done < j.shown.done || now.percent > 99 {
		j.violate("progress: %d%% (%d) after %d%% (%d)", now.percent, now.done, j.shown.percent, j.shown.done)
	}
	if total, err := strconv.ParseInt(found[3], 10, 64); err == nil && total < now.done {
		j.violate("progress: %s", found[0])
	}
	if now != j.shown {
		j.shown, j.moved = now, time.Now()
	}
}

// delete ends the job by way of any server. From the answer on it is gone, on
// all servers.
func (j *job) delete(ctx context.Context, rng *rand.Rand) error {
	r, err := j.soak.do(ctx, rng, j.call(http.MethodDelete))
	if err != nil {
		return err
	}
	if !j.at.IsZero() {
		j.soak.count.cleared.Add(1)
	}
	gone := r.status == http.StatusNotFound && (r.tries > 0 || j.mayHaveExpired())
	if r.status != http.StatusNoContent && !gone {
		j.violate("DELETE: %d %s", r.status, r.body)
	}
	g := j.bury(time.Now())
	for _, to := range j.soak.cluster.ready() {
		if err := g.visit(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// spy asks for something as somebody else, who must not even learn that it is
// there.
func (j *job) spy(ctx context.Context, rng *rand.Rand, path string) error {
	other := j.soak.callers[rng.IntN(len(j.soak.callers))]
	want := http.StatusNotFound
	switch {
	case rng.IntN(4) == 0:
		other, want = client{name: "nobody", token: "wrong"}, http.StatusUnauthorized
	case other == j.client:
		return nil
	}
	method := []string{http.MethodGet, http.MethodDelete}[rng.IntN(2)]
	if path != j.path() {
		method = http.MethodGet
	}
	r, err := j.soak.do(ctx, rng, call{method: method, path: path, token: other.token})
	if err == nil && r.status != want {
		j.violate("%s %s by %s@%s: %d instead of %d", method, path, other.name, other.tenant, r.status, want)
	}
	j.soak.count.spied.Add(1)
	return err
}

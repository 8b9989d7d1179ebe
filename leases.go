package bulkexport

import (
	"sync"
	"time"
)

// leaseWatch tells claims that nobody renews from those that are alive, by the
// time that goes by here. A lease that lies in the future for good is what a
// clock leaves that was put back, or that of a machine which is ahead: by the
// time of day its part would have to wait for as long.
type leaseWatch struct {
	mu    sync.Mutex
	round int
	seen  map[leaseKey]sighting
}

// leaseKey names a claim. The part is -1 for the plan.
type leaseKey struct {
	job           string
	part, attempt int
}

// sighting is when a lease was first seen as it is.
type sighting struct {
	until, first time.Time
	round        int
}

// begin begins a round, in which all claims of interest are looked at, and
// forgets those that were not looked at in the last one.
func (w *leaseWatch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for key, s := range w.seen {
		if s.round < w.round {
			delete(w.seen, key)
		}
	}
	w.round++
}

// look notes a lease, and returns whether it has been the same for longer than
// it lasts.
func (w *leaseWatch) look(key leaseKey, until time.Time, lease time.Duration) bool {
	if until.IsZero() {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.seen[key]
	if !ok || !s.until.Equal(until) {
		s = sighting{until: until, first: time.Now()}
	}
	s.round = w.round
	if w.seen == nil {
		w.seen = map[leaseKey]sighting{}
	}
	w.seen[key] = s
	return time.Since(s.first) > lease
}

// ignored reports whether a lease is one that look has found to be dead, and has
// not changed since.
func (w *leaseWatch) ignored(key leaseKey, until time.Time, lease time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.seen[key]
	return ok && s.until.Equal(until) && time.Since(s.first) > lease
}

// partLease names the claim of a part, planLease that of a plan.
func partLease(jobID string, p Part) leaseKey { return leaseKey{jobID, p.Index, p.Attempt} }
func planLease(j Job) leaseKey                { return leaseKey{j.ID, -1, j.Attempt} }

// overlook takes the leases away that have been dead for longer than they last.
func (e *Exporter) overlook(job *Job, parts []Part) {
	if job.State == JobAccepted && e.leases.look(planLease(*job), job.LeaseUntil, e.cfg.Lease) {
		job.LeaseUntil = time.Time{}
	}
	for i := range parts {
		if p := &parts[i]; !p.Done && e.leases.look(partLease(job.ID, *p), p.LeaseUntil, e.cfg.Lease) {
			p.LeaseUntil = time.Time{}
		}
	}
}

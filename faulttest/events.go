package faulttest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// describe says what the exporter is about when it makes a call.
func (r *run) describe(p *Process, c *Call) {
	m := r.of(p)
	_, c.inTask = m.task()
	c.hasJob, c.fixed = r.client.knows()
}

func (r *run) of(p *Process) *machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.machines[p]
}

// strike does what the injector leaves to others.
func (r *run) strike(p *Process, s Strike) {
	m := r.of(p)
	switch s.Kind {
	case FreezeBefore, FreezeAfter:
		h := held{machine: m, hold: s.Hold}
		if s.Hold > 0 {
			h.until = s.At.Number + s.Hold
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.held = append(r.held, h)
	case StopBefore, StopAfter:
		m.stop()
	case Pause:
		r.clock.move(max(r.cfg.Lease, r.cfg.Slice) + longest)
	case Redeliver:
		r.redeliver(m)
	case Delete:
		r.client.sends()
		if err := r.client.exporter.Delete(context.Background(), r.harness.Access, r.client.id); err != nil {
			r.client.report(broken(Deleted, "the client's DELETE fails: %v", err))
		}
		r.client.deletes()
		r.bystander()
	case Change:
		r.mu.Lock()
		r.changed = true
		r.mu.Unlock()
		if err := r.harness.Change(context.Background(), r.apart); err != nil {
			r.client.report(broken(Snapshot, "the data cannot be changed: %v", err))
		}
	default:
	}
}

// bystander has another process look for work and do it, while the first is in
// the midst of its own.
func (r *run) bystander() {
	m, err := r.newMachine(r.apart)
	if err != nil {
		r.client.report(err)
		return
	}
	_ = m.do(func() error { return m.exporter.Sweep(m.ctx) })
	m.drain()
}

// redeliver has a machine do once more what it is about. As long as its attempt
// is believed alive nobody else gets one.
func (r *run) redeliver(m *machine) {
	task, ok := m.task()
	if !ok {
		return
	}
	before, live := r.attempt(task)
	strikes := len(r.injector.Strikes())
	_ = m.perform(task) // kept for later where it fails
	after, _ := r.attempt(task)
	if live && after > before && len(r.injector.Strikes()) == strikes {
		r.client.report(broken(Held, "a second attempt at a task %s began", task.Kind))
	}
}

// attempt returns the number of the last attempt at a task, and whether it is
// believed alive; 0 where there is none.
func (r *run) attempt(task bulkexport.Task) (number int, live bool) {
	ctx := context.Background()
	job, err := r.apart.Store.Job(ctx, task.JobID)
	if err != nil {
		return 0, false // it was deleted
	}
	claim := job.Claim
	switch task.Kind {
	case bulkexport.TaskFinish, bulkexport.TaskDelete:
		return 0, false // nobody claims these
	case bulkexport.TaskPart:
		parts, err := r.apart.Store.Parts(ctx, task.JobID)
		if err != nil || task.Part >= len(parts) {
			return 0, false
		}
		claim = parts[task.Part].Claim
	default:
	}
	return claim.Attempt, r.clock.now().Before(claim.LeaseUntil)
}

// done looks at what a call has brought, and lets frozen machines go on whose
// time has come.
func (r *run) done(p *Process, c Call) {
	if c.Effect && c.Seam == SeamStore {
		r.client.look()
	}
	if c.Effect && c.file != "" {
		r.lookAt(c)
	}
	for {
		m := r.due(p, c.Number)
		if m == nil {
			return
		}
		r.resume(m)
	}
}

// due takes a frozen machine, not p, that is to go on now.
func (r *run) due(p *Process, number int) *machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, h := range r.held {
		if h.until > 0 && h.until <= number && h.Process != p {
			r.held = slices.Delete(r.held, i, i+1)
			return h.machine
		}
	}
	return nil
}

// thaw returns a step that lets all machines go on that were to be frozen for
// that long, or less.
func (r *run) thaw(hold int) func() error {
	return func() error {
		for {
			m := r.take(hold)
			if m == nil {
				return nil
			}
			r.resume(m)
		}
	}
}

// resume lets a frozen machine go on. Where a sink has no inventory, one that
// goes on after the deletion is spared further faults: dying between writing a
// file and learning that it comes too late, it would leave that file for good.
func (r *run) resume(m *machine) {
	if _, ok := r.apart.Sink.(bulkexport.SinkInventory); !ok && r.client.isDeleted() {
		r.injector.Calm()
	}
	m.resume()
}

func (r *run) take(hold int) *machine {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, h := range r.held {
		if h.hold >= hold {
			r.held = slices.Delete(r.held, i, i+1)
			return h.machine
		}
	}
	return nil
}

// lookAt looks for a file that was just written to, committed or thrown away.
func (r *run) lookAt(c Call) {
	r.mu.Lock()
	name := [2]string{c.job, c.file}
	r.files[name] = r.files[name] || c.Method == "Commit"
	committed := r.files[name] // and not to be undone, although its answer may be lost
	r.mu.Unlock()
	there, err := r.holds(c.job, c.file)
	switch {
	case err != nil:
		r.client.report(broken(Whole, "a file cannot be looked for: %v", err))
	case there && !committed:
		r.client.report(broken(Whole, "a file is visible after %s", c))
	case !there && c.Method == "Commit" && !r.client.isDeleted():
		r.client.report(broken(Whole, "a file is not visible after %s", c))
	}
}

func (r *run) holds(job, name string) (bool, error) {
	opened, err := r.apart.Sink.Open(context.Background(), job, name)
	switch {
	case errors.Is(err, bulkexport.ErrFileNotFound):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, opened.Close()
}

// checkClean looks for what is left in store and sink.
func (r *run) checkClean() error {
	if jobs, err := r.jobs(bulkexport.JobFilter{}); len(jobs) > 0 || err != nil {
		return broken(Clean, "the store still has %d jobs: %v", len(jobs), err)
	}
	for file := range r.files {
		if there, err := r.holds(file[0], file[1]); there || err != nil {
			return broken(Clean, "the sink still has the file %s: %v", file[1], err)
		}
	}
	exports := slices.Clone(r.exports)
	if inventory, ok := r.apart.Sink.(bulkexport.SinkInventory); ok {
		for id, err := range inventory.Jobs(context.Background()) {
			if err != nil {
				return broken(Clean, "the sink cannot tell its exports: %v", err)
			}
			exports = append(exports, id)
		}
	}
	return r.checkInventory(exports, nil)
}

func (r *run) checkLog() error {
	if r.harness.Marker != "" && strings.Contains(r.log.String(), r.harness.Marker) {
		return broken(Silent, "the log has resource content")
	}
	return nil
}

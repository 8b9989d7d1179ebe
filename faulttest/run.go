package faulttest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Bounds beyond which an export counts as one that does not end.
const (
	maxTries = 50
	maxWaits = 200
	maxTasks = 20_000
)

// longest is longer than the pauses of the exporter.
const longest = 31 * time.Second

// world is what a schedule runs in.
type world struct {
	harness Harness
	parts   Parts             // of the first process
	apart   Parts             // of the client's, and of those who look
	cfg     bulkexport.Config // with all defaults that matter here
	reopen  func() Parts
	log     *strings.Builder
	clock   *clock
}

// run is one export under one schedule, from its kick-off until nothing is left
// of it. One thing happens at a time.
type run struct {
	world
	want     *result // without faults; nil where that is to be found out
	injector *Injector
	client   *client
	machine  *machine

	mu       sync.Mutex
	machines map[*Process]*machine
	held     []held
	changed  bool
	files    map[[2]string]bool // all that were created, by export and name: whether committed
	exports  []string           // all that were found in the store

	waits int // how often the clock had to be moved on
	got   result
}

// held is a frozen machine.
type held struct {
	*machine
	hold, until int // until is the number of a call; 0 means that hold says more
}

func newRun(w world, schedule Schedule, want *result) (*run, error) {
	r := &run{world: w, want: want, machines: map[*Process]*machine{}, files: map[[2]string]bool{}}
	r.injector = NewInjector(schedule, Hooks{Strike: r.strike, Done: r.done, describe: r.describe})
	var err error
	r.client, err = newClient(w.apart, w.cfg, w.harness.Access, w.harness.Marker)
	if err == nil && want != nil {
		r.client.file = want.files[0].name
	}
	return r, err
}

// play runs the schedule and returns the first invariant that does not hold.
func (r *run) play() error {
	defer r.end()
	for _, step := range []func() error{
		r.kickOff, r.finish, r.thaw(UntilEnded), r.finish, r.checkOrphans,
		r.download, r.delete, r.clean, r.thaw(UntilDeleted), r.calm, r.finish, r.clean, r.cleanUpLater,
		r.checkClean, r.checkLog,
	} {
		err := step()
		if fault := r.client.fault(); fault != nil {
			return fault
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end ends all that is still there.
func (r *run) end() {
	r.injector.Calm()
	for _, m := range r.machines {
		m.Kill()
		m.stop()
		for _, a := range m.open {
			<-a.done
		}
		m.Bury()
	}
}

// worker returns a machine that can do something, a new one where the last has
// come to its end.
func (r *run) worker() (*machine, error) {
	if m := r.machine; m != nil && m.usable() && !m.isFrozen() {
		return m, nil
	}
	parts := r.parts
	if r.machine != nil {
		parts = r.reopen()
	}
	m, err := r.newMachine(parts)
	if err != nil {
		return nil, err
	}
	r.machine = m
	return m, nil
}

func (r *run) newMachine(parts Parts) (*machine, error) {
	m, err := newMachine(r.injector.Process(), parts, r.cfg, r.harness.Items)
	if err != nil {
		return nil, err
	}
	m.escaped = func(what string) { r.client.report(broken(Contained, "%s", what)) }
	r.mu.Lock()
	defer r.mu.Unlock()
	r.machines[m.Process] = m
	return m, nil
}

// kickOff kicks off until a job is known. A request that fails may have left one
// that is not.
func (r *run) kickOff() error {
	var last error
	for range maxTries {
		m, err := r.worker()
		if err != nil {
			return err
		}
		answer := make(chan string, 1)
		last = m.do(func() error {
			job, err := m.exporter.KickOff(context.Background(), r.harness.Access, r.harness.Request)
			answer <- job.ID
			return err
		})
		if last == nil {
			r.client.has(<-answer)
			return nil
		}
	}
	return broken(Ends, "no kick-off is accepted: %v", last)
}

// finish works until there is nothing to do, and looks at all exports.
func (r *run) finish() error {
	if err := r.work(r.idle); err != nil {
		return err
	}
	jobs, err := r.jobs(bulkexport.JobFilter{})
	if err != nil {
		return err
	}
	r.client.look()
	for _, job := range jobs {
		if err := r.check(job); err != nil {
			return err
		}
	}
	return r.checkPrompt()
}

// poll asks for the status through a process that things happen to. To show the
// first page of a manifest changes the job.
func (r *run) poll(m *machine) {
	_ = m.do(func() error {
		_, err := m.exporter.Status(context.Background(), r.harness.Access, r.client.id)
		return err
	})
}

// download fetches a file through such a process, until it succeeds.
func (r *run) download() error {
	var last error
	for range maxTries {
		m, err := r.worker()
		if err != nil {
			return err
		}
		r.poll(m)
		last = m.do(func() error {
			opened, err := m.exporter.OpenFile(context.Background(), r.harness.Access, r.client.id, r.want.files[0].name)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, opened)
			return errors.Join(err, opened.Close())
		})
		if gone := r.client.isDeleted(); last == nil && !gone || gone && errors.Is(last, bulkexport.ErrJobNotFound) {
			return nil
		}
	}
	return broken(Honest, "a file cannot be downloaded: %v", last)
}

func (r *run) check(job bulkexport.Job) error {
	if !slices.Contains(r.exports, job.ID) {
		r.exports = append(r.exports, job.ID)
	}
	got, err := r.client.read(job.ID)
	if err != nil {
		return err
	}
	if r.want == nil {
		r.want = &got
	}
	if r.changed && job.ID != r.client.id {
		return nil // its transactionTime may be after the change
	}
	if job.ID == r.client.id {
		r.got = got
	}
	err = r.want.same(got)
	var v *violation
	if errors.As(err, &v) && r.changed {
		v.invariant = Snapshot
	}
	return err
}

// checkPrompt looks whether time was lost although all processes were stopped in
// order.
func (r *run) checkPrompt() error {
	strikes := r.injector.Strikes()
	stops := !slices.ContainsFunc(strikes, func(s Strike) bool { return s.Kind != StopBefore && s.Kind != StopAfter })
	if stops && r.waits > 0 && !r.client.isDeleted() {
		return broken(Prompt, "the export waited %d times", r.waits)
	}
	return nil
}

// work lets processes work until there is nothing to do for them and until says
// that it is over.
func (r *run) work(until func() (bool, error)) error {
	var swept *machine // a new one looks for work at once, after that as time goes by
	for range maxTasks {
		m, err := r.worker()
		if err != nil {
			return err
		}
		if task, ok := m.queue.pop(); ok {
			_ = m.perform(task) // kept for later where it fails
			if r.harness.Request.AllowPartial {
				r.poll(m)
			}
			continue
		}
		over, err := until()
		if over || err != nil {
			return err
		}
		if m == swept {
			if r.waits++; r.waits > maxWaits {
				return broken(Ends, "there is something to do for ever")
			}
			r.clock.move(r.cfg.Lease + longest)
			m.retry()
		}
		swept = m
		_ = m.do(func() error { return m.exporter.Sweep(m.ctx) })
	}
	return broken(Ends, "tasks come for ever")
}

func (r *run) jobs(filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	return r.apart.Store.Jobs(context.Background(), filter)
}

// idle reports whether all exports have ended.
func (r *run) idle() (bool, error) {
	jobs, err := r.jobs(bulkexport.JobFilter{States: []bulkexport.JobState{
		bulkexport.JobAccepted, bulkexport.JobRunning, bulkexport.JobDeleted,
	}})
	return len(jobs) == 0, err
}

// empty reports whether the store has no exports.
func (r *run) empty() (bool, error) {
	jobs, err := r.jobs(bulkexport.JobFilter{})
	return len(jobs) == 0, err
}

// delete sends a DELETE until it is answered, unless somebody has done so, or
// the export is to expire.
func (r *run) delete() error {
	switch {
	case r.client.isDeleted():
		return nil
	case r.harness.Expire:
		r.clock.move(r.cfg.TTL)
		r.client.deletes()
		return nil
	}
	r.client.sends()
	var last error
	for range maxTries {
		m, err := r.worker()
		if err != nil {
			return err
		}
		last = m.do(func() error { return m.exporter.Delete(context.Background(), r.harness.Access, r.client.id) })
		if last == nil || errors.Is(last, bulkexport.ErrJobNotFound) {
			r.client.deletes()
			return nil
		}
	}
	return broken(Deleted, "no DELETE is accepted: %v", last)
}

// clean works until the store is empty. Exports that no client knows expire.
func (r *run) clean() error {
	if err := r.work(r.idle); err != nil {
		return err
	}
	if empty, err := r.empty(); empty || err != nil {
		return err
	}
	r.clock.move(r.cfg.TTL)
	return r.work(r.empty)
}

func (r *run) calm() error {
	r.injector.Calm()
	return nil
}

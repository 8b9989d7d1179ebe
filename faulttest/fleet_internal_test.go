package faulttest

import (
	"context"
	"errors"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// worker returns one that can serve a client, if there is any.
func (f *fleet) worker() *worker {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		if !w.Dead() && !w.stopping.Load() && !isClosed(w.Frozen()) {
			return w
		}
	}
	return nil
}

// request has a worker do something for a client, who has no patience.
func (f *fleet) request(fn func(w *worker) error) error {
	w := f.worker()
	if w == nil {
		return errors.New("nobody is there")
	}
	answer := make(chan error, 1)
	f.ended.Go(func() {
		defer func() {
			if recover() != nil {
				answer <- errPanicked
			}
		}()
		answer <- fn(w)
	})
	select {
	case err := <-answer:
		return err
	case <-time.After(time.Second):
		return errFrozen
	}
}

func (f *fleet) kickOff() bool {
	accepted := make(chan string, 1)
	err := f.request(func(w *worker) error {
		job, err := w.exporter.KickOff(f.Context(), f.client.access, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
		accepted <- job.ID
		return err
	})
	if err == nil {
		f.client.has(<-accepted)
	}
	return err == nil
}

func (f *fleet) deleted() bool {
	if f.client.isDeleted() {
		return true
	}
	err := f.request(func(w *worker) error { return w.exporter.Delete(f.Context(), f.client.access, f.client.id) })
	if err == nil || errors.Is(err, bulkexport.ErrJobNotFound) {
		f.client.deletes()
		return true
	}
	return false
}

func (f *fleet) allEnded() bool {
	jobs, err := f.parts.Store.Jobs(f.Context(), bulkexport.JobFilter{States: []bulkexport.JobState{
		bulkexport.JobAccepted, bulkexport.JobRunning, bulkexport.JobDeleted,
	}})
	require.NoError(f, err)
	return len(jobs) == 0
}

func (f *fleet) allGoOn() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		if isClosed(w.Frozen()) {
			return false
		}
	}
	return true
}

// compare reads all exports that are there. After a change only that of the
// client must be as it would have been before.
func (f *fleet) compare(want *result) (got result) {
	f.Helper()
	jobs, err := f.parts.Store.Jobs(f.Context(), bulkexport.JobFilter{})
	require.NoError(f, err)
	for _, job := range jobs {
		got, err = f.client.read(job.ID)
		require.NoError(f, err, "%v", f.injector.Strikes())
		if want != nil && (f.changed == 0 || job.ID == f.client.id) {
			require.NoError(f, want.same(got), "%v", f.injector.Strikes())
		}
	}
	return got
}

func (f *fleet) describe(_ *Process, c *Call) { c.hasJob, c.fixed = f.client.knows() }

func (f *fleet) done(_ *Process, c Call) {
	if c.file != "" && c.Effect {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.created[c.job+"/"+c.file] = true
	}
}

// strike does what the injector leaves to others.
func (f *fleet) strike(p *Process, s Strike) {
	long := 10*time.Second + time.Duration(s.At.Number%40)*time.Second
	switch s.Kind {
	case FreezeBefore, FreezeAfter:
		time.AfterFunc(long, func() {
			f.calmAfterDeletion()
			p.Thaw()
		})
	case Pause:
		<-time.After(long)
		f.calmAfterDeletion()
	case StopBefore, StopAfter:
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, w := range f.workers {
			if w.Process == p {
				w.stopping.Store(true)
			}
		}
	case Delete:
		f.client.sends()
		if err := f.client.exporter.Delete(context.Background(), f.client.access, f.client.id); err != nil {
			f.client.report(broken(Deleted, "the client's DELETE fails: %v", err))
		}
		f.client.deletes()
	case Change:
		f.mu.Lock()
		f.changed++
		f.mu.Unlock()
		_, err := f.parts.Source.(slowly).Put(tenant, []byte(`{"resourceType":"Patient","id":"4","active":true}`))
		if err != nil {
			f.client.report(err)
		}
	default:
	}
}

// calmAfterDeletion spares processes that go on after it further faults: what
// they leave when they die is removed a TTL later.
func (f *fleet) calmAfterDeletion() {
	if f.client.isDeleted() {
		f.injector.Calm()
	}
}

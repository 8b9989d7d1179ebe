//go:build unix

package reliability_test

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// clock is the time of day with a fault. It is safe for concurrent use.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time             { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) jumpTo(ahead time.Duration) { c.ahead.Store(int64(ahead)) }

// TestClockJumpsDuringAnExport has two exporters on one store. Each jump forward
// ends all leases at once, so that they take each other's parts, which live.
// Each jump back leaves leases that end in an hour.
func TestClockJumpsDuringAnExport(t *testing.T) {
	t.Parallel()
	h := newHost(t, t.TempDir(), 30)
	want := h.undisturbed()
	var clock clock
	pace := time.NewTicker(time.Millisecond)
	t.Cleanup(pace.Stop)
	cfg := bulkexport.Config{
		Now: clock.now,
		Filter: func(ctx context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
			select {
			case <-pace.C:
				return resource, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}
	h.start(cfg)
	h.start(cfg)
	job := h.kickOff(t, h.base, "")
	jumps := 0
	for _, done := range []int64{100, 300, 500, 700, 900, 1100} {
		h.awaitDone(job, done)
		jumps++
		clock.jumpTo(time.Duration(jumps%2) * time.Hour)
	}
	got := h.await(job)
	require.Equal(t, http.StatusOK, got.status, got.body)
	requireSame(t, want, h.read(t, h.base, job))
}

// awaitDone waits until so many resources are done, or the job has ended.
func (h *host) awaitDone(job string, resources int64) {
	h.Helper()
	require.Eventually(h, func() bool {
		done := int64(0)
		parts, err := h.store.Parts(h.Context(), path.Base(job))
		require.NoError(h, err)
		open := len(parts) == 0
		for _, part := range parts {
			done += part.Seen
			open = open || !part.Done
		}
		return done >= resources || !open
	}, patience, 2*time.Millisecond)
}

// TestClockWasAhead finds what a process has left that died when the clock was
// an hour ahead: a lease and a pause that end in an hour. Nobody waits for them.
func TestClockWasAhead(t *testing.T) {
	t.Parallel()
	h := newHost(t, t.TempDir(), 12)
	want := h.undisturbed()
	exporter := h.open(bulkexport.Config{})
	job := h.kickOff(t, h.base, "")
	id := path.Base(job)
	require.NoError(t, exporter.Perform(t.Context(), bulkexport.Task{Kind: bulkexport.TaskPlan, JobID: id}))
	later := time.Now().Add(time.Hour)
	for index, left := range []bulkexport.Claim{
		{Attempt: 3, Failures: 1, LeaseUntil: later},
		{Attempt: 3, Failures: 1, RetryAt: later},
	} {
		_, err := h.store.UpdatePart(t.Context(), id, index, func(_ bulkexport.Job, p *bulkexport.Part) error {
			p.Claim = left
			return nil
		})
		require.NoError(t, err)
	}
	planned := h.kickOff(t, h.base, "") // and a plan that nobody makes
	_, err := h.store.UpdateJob(t.Context(), path.Base(planned), func(j *bulkexport.Job) error {
		j.Claim = bulkexport.Claim{Attempt: 1, Failures: 1, LeaseUntil: later}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, exporter.Start(t.Context()))
	for _, job := range []string{job, planned} {
		require.Equal(t, http.StatusOK, h.await(job).status)
		requireSame(t, want, h.read(t, h.base, job))
	}
	require.Equal(t, http.StatusNoContent, h.must(t, http.MethodDelete, h.base+job).status)
	require.Eventually(t, func() bool { return len(h.jobs()) == 2 }, patience, 10*time.Millisecond)
}

// TestExpiryGoesByTheClockOfTheMoment has a job come and go with the clock, until
// a sweep has removed it.
func TestExpiryGoesByTheClockOfTheMoment(t *testing.T) {
	t.Parallel()
	h := newHost(t, t.TempDir(), 12)
	var clock clock
	exporter := h.start(bulkexport.Config{Now: clock.now, TTL: time.Hour})
	job := h.kickOff(t, h.base, "")
	require.Equal(t, http.StatusOK, h.await(job).status)
	h.stop(exporter)
	status := func() int { return h.must(t, http.MethodGet, h.base+job).status }

	clock.jumpTo(2 * time.Hour)
	require.Equal(t, http.StatusNotFound, status())
	clock.jumpTo(-2 * time.Hour)
	require.Equal(t, http.StatusOK, status())
	clock.jumpTo(2 * time.Hour)
	h.start(bulkexport.Config{Now: clock.now, TTL: time.Hour})
	require.Eventually(t, func() bool { return len(h.jobs()) == 0 }, patience, 10*time.Millisecond)
	clock.jumpTo(0)
	require.Equal(t, http.StatusNotFound, status())
}

// TestTransactionTimeNeverGoesBack has the clock of the repository be an hour
// ahead, and then right again.
func TestTransactionTimeNeverGoesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t, t.TempDir(), 12)
	h.start(bulkexport.Config{})
	ahead := time.Now().Add(4 * time.Minute) // beyond five, _since is in the future
	require.NoError(t, h.database.Exec("UPDATE bulkexport_clock SET stamp = ?", ahead.UnixMicro()).Error)
	last := ahead.Truncate(time.Millisecond)
	for n := range 3 {
		put, err := h.source.Put(t.Context(), "", []byte(`{"resourceType":"Patient","id":"new","active":true}`))
		require.NoError(t, err)
		got := h.export("?_type=Patient&_since=" + url.QueryEscape(last.Format(time.RFC3339Nano)))
		at, err := time.Parse(time.RFC3339Nano, got.transactionTime)
		require.NoError(t, err)
		require.False(t, at.Before(last), "%v is before %v", at, last)
		require.Len(t, got.files, 1, "export %d has what was stored since the last one: %v", n, put)
		last = at
	}
}

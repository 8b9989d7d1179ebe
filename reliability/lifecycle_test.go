//go:build unix

package reliability_test

import (
	"context"
	"errors"
	"path"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

var anybody = bulkexport.Access{}

func everything() bulkexport.ExportRequest {
	return bulkexport.ExportRequest{Level: bulkexport.LevelSystem}
}

// goroutines returns what fails if there are more goroutines than now. Tests
// that use it do not run in parallel: others come and go.
func goroutines(t *testing.T) (requireNoMore func()) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	return func() {
		t.Helper()
		goleak.VerifyNone(t, before)
	}
}

// braked is a configuration under which an export takes some seconds.
func braked(t *testing.T) bulkexport.Config {
	t.Helper()
	pace := time.NewTicker(2 * time.Millisecond)
	t.Cleanup(pace.Stop)
	return bulkexport.Config{
		Filter: func(ctx context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
			select {
			case <-pace.C:
				return resource, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}
}

func TestStopBeforeStartAndTwice(t *testing.T) { //nolint:paralleltest // counts goroutines
	h := newHost(t, t.TempDir(), 12)
	requireNoMore := goroutines(t)
	exporter := h.exporterOf(bulkexport.Config{})
	h.stop(exporter)
	h.stop(exporter)
	require.ErrorIs(t, exporter.Start(t.Context()), bulkexport.ErrStopped)
	_, err := exporter.KickOff(t.Context(), anybody, everything())
	require.ErrorIs(t, err, bulkexport.ErrStopped)
	requireNoMore()

	exporter = h.exporterOf(bulkexport.Config{})
	require.NoError(t, exporter.Start(t.Context()))
	require.NoError(t, exporter.Start(t.Context()), "a second call does nothing")
	h.stop(exporter)
	h.stop(exporter)
	requireNoMore()
}

func TestStopHandsWorkBack(t *testing.T) { //nolint:paralleltest // counts goroutines
	h := newHost(t, t.TempDir(), 30)
	want := h.undisturbed()
	cfg := braked(t)
	requireNoMore := goroutines(t)
	exporter := h.open(cfg)
	job := h.kickOff(t, h.base, "")
	h.stop(exporter)
	for done := int64(100); done <= 500; done += 100 {
		exporter := h.exporterOf(cfg)
		require.NoError(t, exporter.Start(t.Context()))
		h.awaitDone(job, done)
		h.stop(exporter)
		h.requireFree(job)
	}
	h.http.CloseIdleConnections()
	h.close()
	requireNoMore()
	h.start(bulkexport.Config{})
	h.await(job)
	requireSame(t, want, h.read(t, h.base, job))
}

// requireFree requires that no part is claimed, or counts as failed.
func (h *host) requireFree(job string) {
	h.Helper()
	parts, err := h.store.Parts(h.Context(), path.Base(job))
	require.NoError(h, err)
	require.NotEmpty(h, parts)
	for _, part := range parts {
		require.Equal(h, bulkexport.Claim{Attempt: part.Attempt}, part.Claim)
	}
}

// TestStopWhileClientsComeAndGo stops twice at once in the middle of kick-offs
// and deletions. What was accepted and not deleted is completed by the next one.
func TestStopWhileClientsComeAndGo(t *testing.T) { //nolint:paralleltest // counts goroutines
	h := newHost(t, t.TempDir(), 12)
	want := h.undisturbed()
	requireNoMore := goroutines(t)
	exporter := h.exporterOf(bulkexport.Config{})
	require.NoError(t, exporter.Start(t.Context()))

	var clients, stoppers sync.WaitGroup
	var mu sync.Mutex
	var kept []string
	enough := make(chan struct{})
	for range 4 {
		clients.Go(func() {
			for n := 0; ; n++ {
				job, err := exporter.KickOff(t.Context(), anybody, everything())
				if errors.Is(err, bulkexport.ErrStopped) {
					return
				}
				assert.NoError(t, err)
				if n%4 > 0 {
					assert.NoError(t, exporter.Delete(t.Context(), anybody, job.ID))
					continue
				}
				mu.Lock()
				if kept = append(kept, job.ID); len(kept) == 8 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	<-enough
	for range 2 {
		stoppers.Go(func() { h.stop(exporter) })
	}
	stoppers.Wait()
	clients.Wait()
	for _, id := range kept[:4] {
		require.NoError(t, exporter.Delete(t.Context(), anybody, id), "also after Stop")
	}
	requireNoMore()

	h.start(bulkexport.Config{})
	for _, id := range kept[4:] {
		h.await("/bulk-export/" + id)
		requireSame(t, want, h.read(t, h.base, "/bulk-export/"+id))
	}
	t.Logf("%d exports were kept", len(kept)-4)
}

// TestStopThatIsNotWaitedFor has a hook that does not heed its context.
func TestStopThatIsNotWaitedFor(t *testing.T) { //nolint:paralleltest // counts goroutines
	h := newHost(t, t.TempDir(), 12)
	want := h.undisturbed()
	requireNoMore := goroutines(t)
	began, release := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(began) })
	exporter := h.exporterOf(bulkexport.Config{
		Filter: func(_ context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
			begin()
			<-release
			return resource, nil
		},
	})
	require.NoError(t, exporter.Start(t.Context()))
	job, err := exporter.KickOff(t.Context(), anybody, everything())
	require.NoError(t, err)
	<-began
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, exporter.Stop(ended), context.Canceled)
	_, err = exporter.KickOff(t.Context(), anybody, everything())
	require.ErrorIs(t, err, bulkexport.ErrStopped)
	close(release)
	requireNoMore() // in the end
	h.requireFree(job.ID)

	h.start(bulkexport.Config{})
	h.await("/bulk-export/" + job.ID)
	requireSame(t, want, h.read(t, h.base, "/bulk-export/"+job.ID))
}

// TestSignalsHandWorkBack asks the example server to end, again and again: it
// ends with 0, and the next one need not wait for any lease.
func TestSignalsHandWorkBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run := newCampaign(t, dir, sqlite.Open("file:"+filepath.Join(dir, "bulkexport.db")+"?_busy_timeout=10000"))
	run.begin(nil)
	w := startWatch(t, run.fleet, run.client, run.kickOff(t, run.any(), ""))
	for n := 0; n < 5 && w.running(); n++ {
		w.awaitDone(w.done.Load() + 100)
		run.terminate(0)
		run.withDatabase(func(db *gorm.DB) error {
			store, err := gormstore.New(db)
			require.NoError(t, err)
			for _, part := range run.partsOf(store, path.Base(w.job)) {
				require.Equal(t, bulkexport.Claim{Attempt: part.Attempt}, part.Claim)
			}
			return nil
		})
		run.restart()
	}
	run.finish(w)
}

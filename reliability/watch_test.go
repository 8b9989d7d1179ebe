//go:build unix

package reliability_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watch asks for the status of a job, now from one server and now from another,
// from the kick-off until it is stopped, and sees to it that what a client is
// told never goes back.
type watch struct {
	t        *testing.T
	client   *client
	fleet    *fleet
	job      string
	done     atomic.Int64 // resources
	complete chan struct{}
	busy     bool // 503 is an answer to expect

	stop            context.CancelFunc
	stopped         sync.WaitGroup
	percent         float64
	transactionTime string
	answers         map[int]int // by status; 0 is none
}

func startWatch(t *testing.T, f *fleet, c *client, job string) *watch {
	t.Helper()
	return newWatch(t, f, c, job).start()
}

// startBusyWatch is startWatch for servers whose database is not always there.
func startBusyWatch(t *testing.T, f *fleet, c *client, job string) *watch {
	t.Helper()
	w := newWatch(t, f, c, job)
	w.busy = true
	return w.start()
}

func newWatch(t *testing.T, f *fleet, c *client, job string) *watch {
	t.Helper()
	return &watch{t: t, client: c, fleet: f, job: job, answers: map[int]int{}, complete: make(chan struct{})}
}

func (w *watch) start() *watch {
	ctx, stop := context.WithCancel(w.t.Context())
	w.stop = stop
	w.stopped.Go(func() {
		ticker := time.NewTicker(10 * time.Millisecond)
		defer ticker.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			w.look(ctx, n)
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	w.t.Cleanup(w.end)
	return w
}

// end stops the watch.
func (w *watch) end() {
	w.stop()
	w.stopped.Wait()
}

func (w *watch) look(ctx context.Context, n int) {
	base, err := w.fleet.base(n)
	if err != nil {
		return
	}
	got, err := w.client.do(ctx, http.MethodGet, base+w.job)
	if err != nil { // the server was killed, or waits for its database
		w.answers[0]++
		return
	}
	w.answers[got.status]++
	switch {
	case got.status == http.StatusServiceUnavailable && w.busy:
		assert.Contains(w.t, got.body, `"resourceType":"OperationOutcome"`)
		assert.Regexp(w.t, `^[1-9]\d*$`, got.header.Get("Retry-After"))
	case got.status == http.StatusAccepted:
		w.lookAtProgress(got)
	case got.status == http.StatusOK:
		w.lookAtTime(got)
		if w.running() {
			close(w.complete)
		}
	default:
		assert.Fail(w.t, "status", "%d\n%s", got.status, got.body)
	}
}

func (w *watch) running() bool {
	select {
	case <-w.complete:
		return false
	default:
		return true
	}
}

func (w *watch) lookAtProgress(got answer) {
	assert.True(w.t, w.running(), "a completed export runs again")
	var percent float64
	var done int64
	_, err := fmt.Sscanf(got.header.Get("X-Progress"), "%f%% (%d", &percent, &done)
	assert.NoError(w.t, err, got.header.Get("X-Progress"))
	assert.GreaterOrEqual(w.t, percent, w.percent)
	assert.GreaterOrEqual(w.t, done, w.done.Load())
	w.percent = percent
	w.done.Store(done)
	if strings.Contains(got.body, "transactionTime") {
		w.lookAtTime(got)
	}
}

func (w *watch) lookAtTime(got answer) {
	var m manifest
	assert.NoError(w.t, json.Unmarshal([]byte(got.body), &m))
	assert.NotEmpty(w.t, m.TransactionTime)
	if w.transactionTime != "" {
		assert.Equal(w.t, w.transactionTime, m.TransactionTime)
	}
	w.transactionTime = m.TransactionTime
}

// await waits until the export is complete.
func (w *watch) await() {
	w.t.Helper()
	select {
	case <-w.complete:
	case <-time.After(patience):
		w.end()
		require.Fail(w.t, "the export does not end", "done %d, answers %v", w.done.Load(), w.answers)
	}
}

// awaitDone waits until so many resources are done, or the export is complete.
func (w *watch) awaitDone(resources int64) {
	w.t.Helper()
	require.Eventually(w.t, func() bool { return !w.running() || w.done.Load() >= resources },
		patience, 2*time.Millisecond)
}

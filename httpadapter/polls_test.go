package httpadapter_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// polling is a handler without a wire, in a bubble of synctest: its clock stands
// still while requests are made, and time passes by waiting only.
type polling struct {
	*testing.T
	store   bulkexport.JobStore
	sink    bulkexport.OutputSink
	handler http.Handler
}

func newPolling(t *testing.T, limit int) polling {
	t.Helper()
	return newNode(t, memstore.New(), httpadapter.Config{PollLimit: limit})
}

// newNode is one of several handlers on a store. Zero fields of cfg are filled.
func newNode(t *testing.T, store bulkexport.JobStore, cfg httpadapter.Config) polling {
	t.Helper()
	sink := memsink.New()
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: wards(t, "north"), Store: store, Sink: sink, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	cfg.BaseURL = "http://h"
	if cfg.Authorize == nil {
		cfg.Authorize = authorize
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	handler, err := httpadapter.New(exporter, cfg)
	require.NoError(t, err)
	return polling{t, store, sink, handler}
}

func (p polling) get(target, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(p.Context(), http.MethodGet, target, nil)
	return serve(p.handler, r, token)
}

// kickOff returns the path of a status that stays 202, since nobody works.
func (p polling) kickOff(token string) string {
	w := p.get("/fhir/$export", token)
	require.Equal(p, http.StatusAccepted, w.Code)
	return w.Header().Get("Content-Location")[len("http://h"):]
}

// heed waits as long as an answer says.
func (p polling) heed(w *httptest.ResponseRecorder) {
	seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
	require.NoError(p, err)
	require.Positive(p, seconds)
	time.Sleep(time.Duration(seconds) * time.Second) //nolint:forbidigo // the clock is that of synctest
}

func TestHotPollsAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPolling(t, 5)
		job := p.kickOff("alice")
		for range 5 {
			require.Equal(t, http.StatusAccepted, p.get(job, "alice").Code)
		}
		for range 100 {
			w := p.get(job, "alice")
			require.Equal(t, http.StatusTooManyRequests, w.Code)
			require.Equal(t, "1", w.Header().Get("Retry-After"), "refused polls cost nothing")
			require.Equal(t, "throttled", outcomeOf(t, w.Body.Bytes()).Issue[0].Code)
		}
		// Another client, another job, and all that is no poll.
		require.Equal(t, http.StatusNotFound, p.get(job, "bob").Code)
		require.Equal(t, http.StatusAccepted, p.get(p.kickOff("alice"), "alice").Code)
		require.Equal(t, http.StatusNotFound, p.get(job+"/Patient.ndjson", "alice").Code)

		p.heed(p.get(job, "alice"))
		require.Equal(t, http.StatusAccepted, p.get(job, "alice").Code)
		require.Equal(t, http.StatusTooManyRequests, p.get(job, "alice").Code)
	})
}

// TestRetryAfterIsEnough has clients that were hot before, or never.
func TestRetryAfterIsEnough(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 60} {
		for _, hot := range []int{0, 1, 2, 61, 1000} {
			t.Run(fmt.Sprint(limit, " ", hot), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					p := newPolling(t, limit)
					job := p.kickOff("alice")
					last := p.get(job, "alice")
					for range hot {
						last = p.get(job, "alice")
					}
					for range 200 {
						p.heed(last)
						last = p.get(job, "alice")
						require.Equal(t, http.StatusAccepted, last.Code)
					}
				})
			})
		}
	}
}

// TestEndedExportsAreNoPolls reads manifests over and over, also after hot polls.
func TestEndedExportsAreNoPolls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPolling(t, 2)
		job := p.kickOff("alice")
		require.Equal(t, http.StatusAccepted, p.get(job, "alice").Code)
		_, err := p.store.UpdateJob(t.Context(), job[len("/bulk-export/"):], func(j *bulkexport.Job) error {
			j.State, j.ExpiresAt = bulkexport.JobCompleted, time.Now().Add(time.Hour)
			return nil
		})
		require.NoError(t, err)
		for range 100 {
			require.Equal(t, http.StatusOK, p.get(job, "alice").Code)
			require.Equal(t, http.StatusNotFound, p.get(job+"?page=2", "alice").Code)
			require.Equal(t, http.StatusNotFound, p.get(unknownID, "alice").Code)
		}
	})
}

func TestPollLimitIsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPolling(t, -1)
		job := p.kickOff("alice")
		for range 1000 {
			require.Equal(t, http.StatusAccepted, p.get(job, "alice").Code)
		}
	})
}

// TestDefaultPollLimit lets a client alone that asks five times a second, as one
// does for some seconds.
func TestDefaultPollLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPolling(t, 0)
		job := p.kickOff("alice")
		polls := 0
		for p.get(job, "alice").Code == http.StatusAccepted {
			polls++
			time.Sleep(200 * time.Millisecond) //nolint:forbidigo // the clock is that of synctest
		}
		require.Equal(t, 74, polls, "60, and one for each second meanwhile")
	})
}

// TestPollsTakeBoundedMemory asks for so many pages of a job that each of them
// would be remembered.
func TestPollsTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPolling(t, 1)
		w := p.get("/fhir/$export?allowPartialManifests=true", "alice")
		job := w.Header().Get("Content-Location")[len("http://h"):]
		const most = 10_000
		for page := range most {
			require.Equal(t, http.StatusAccepted, p.get(fmt.Sprint(job, "?page=", page+1), "alice").Code)
		}
		require.Equal(t, http.StatusTooManyRequests, p.get(job+"?page=7", "alice").Code)
		// What is not remembered is let through.
		for range 3 {
			require.Equal(t, http.StatusAccepted, p.get(fmt.Sprint(job, "?page=", most+1), "alice").Code)
		}
		// A second later all that is past, and there is room again.
		time.Sleep(time.Second) //nolint:forbidigo // the clock is that of synctest
		require.Equal(t, http.StatusAccepted, p.get(fmt.Sprint(job, "?page=", most+1), "alice").Code)
		require.Equal(t, http.StatusTooManyRequests, p.get(fmt.Sprint(job, "?page=", most+1), "alice").Code)
	})
}

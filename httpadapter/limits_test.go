package httpadapter_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/store/memstore"
)

const exportPath = "/fhir/$export"

// throttled expects a 429 that says how long to wait, in seconds.
func throttled(t *testing.T, w *httptest.ResponseRecorder, retryAfter, what string) {
	t.Helper()
	require.Equal(t, http.StatusTooManyRequests, w.Code)
	require.Equal(t, retryAfter, w.Header().Get("Retry-After"))
	require.Empty(t, w.Header().Get("WWW-Authenticate"))
	issue := outcomeOf(t, w.Body.Bytes()).Issue[0]
	require.Equal(t, "throttled", issue.Code)
	require.Contains(t, issue.Diagnostics, what)
}

func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // the clock is that of synctest
}

func TestKickOffsOfAClientAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newNode(t, memstore.New(), httpadapter.Config{
			ClientKickOffs: httpadapter.Rate{Burst: 3, Every: 10 * time.Second},
		})
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
		require.Equal(t, http.StatusBadRequest, p.get(exportPath+"?_type=Nonsense", "alice").Code)
		require.Equal(t, http.StatusNotFound, p.get("/fhir/Group/unknown/$export", "alice").Code)
		for range 5 {
			throttled(t, p.get(exportPath, "alice"), "10", "This client starts exports too often.")
			throttled(t, p.get("/fhir/Group/unknown/$export", "alice"), "10", "This client")
		}
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "bob").Code, "another client")
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "other").Code, "one of that name in another tenant")

		p.heed(p.get(exportPath, "alice"))
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
		throttled(t, p.get(exportPath, "alice"), "10", "This client")
	})
}

func TestKickOffsOfATenantAreLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newNode(t, memstore.New(), httpadapter.Config{
			ClientKickOffs: httpadapter.Rate{Burst: 2, Every: time.Minute},
			TenantKickOffs: httpadapter.Rate{Burst: 4, Every: 5 * time.Second},
		})
		for range 2 {
			require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
		}
		for range 100 { // what is beyond her own rate does not count for the tenant
			throttled(t, p.get(exportPath, "alice"), "60", "This client")
		}
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "bob").Code)
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "bob").Code)
		elapse(time.Minute)
		for range 2 {
			require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
			elapse(30 * time.Second)
			require.Equal(t, http.StatusAccepted, p.get(exportPath, "bob").Code)
			elapse(30 * time.Second)
		}
	})
}

// TestRetryAfterOfATenantIsHonest has a client that pays for what its tenant has no
// room for.
func TestRetryAfterOfATenantIsHonest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newNode(t, memstore.New(), httpadapter.Config{
			ClientKickOffs: httpadapter.Rate{Burst: 2, Every: time.Minute},
			TenantKickOffs: httpadapter.Rate{Burst: 2, Every: 5 * time.Second},
		})
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "bob").Code)
		refused := p.get(exportPath, "alice")
		throttled(t, refused, "60", "Exports are started too often here.")
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "other").Code, "another tenant")
		p.heed(refused)
		require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
	})
}

func TestNodesLimitTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store, cfg := memstore.New(), httpadapter.Config{
			ClientKickOffs: httpadapter.Rate{Burst: 2, Every: 10 * time.Second}, PollLimit: 5,
		}
		first, second := newNode(t, store, cfg), newNode(t, store, cfg)
		job := first.kickOff("alice")
		require.Equal(t, http.StatusAccepted, second.get(exportPath, "alice").Code)
		throttled(t, first.get(exportPath, "alice"), "10", "This client")
		throttled(t, second.get(exportPath, "alice"), "10", "This client")

		// A client that spreads its polls has one burst for all nodes, beside the
		// first poll of each.
		accepted := 0
		for range 50 {
			for _, node := range []polling{first, second} {
				if node.get(job, "alice").Code == http.StatusAccepted {
					accepted++
				}
			}
		}
		require.Equal(t, 5+2, accepted)
		last := first.get(job, "alice")
		for i := range 100 { // and heeds Retry-After then, wherever it goes
			first.heed(last)
			last = []polling{first, second}[i/3%2].get(job, "alice")
			require.Equal(t, http.StatusAccepted, last.Code)
		}
	})
}

func TestPollsOfATenantAreLimited(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{-1, 60} {
		synctest.Test(t, func(t *testing.T) {
			p := newNode(t, memstore.New(), httpadapter.Config{
				PollLimit: limit, TenantPolls: httpadapter.Rate{Burst: 10, Every: 10 * time.Second},
			})
			jobs := map[string]string{"alice": p.kickOff("alice"), "bob": p.kickOff("bob"), "other": p.kickOff("other")}
			for token, job := range jobs {
				require.Equal(t, http.StatusAccepted, p.get(job, token).Code, "the first one is not early")
			}
			for range 5 {
				require.Equal(t, http.StatusAccepted, p.get(jobs["alice"], "alice").Code)
				require.Equal(t, http.StatusAccepted, p.get(jobs["bob"], "bob").Code)
			}
			throttled(t, p.get(jobs["alice"], "alice"), "10", "The status of exports is asked for too often here.")
			throttled(t, p.get(jobs["bob"], "bob"), "10", "Heed Retry-After.")
			require.Equal(t, http.StatusAccepted, p.get(jobs["other"], "other").Code, "another tenant")

			// Who heeds the shortest Retry-After is never refused, though it was hot just
			// now and another client still is.
			for range 100 {
				elapse(time.Second)
				require.Equal(t, http.StatusAccepted, p.get(jobs["alice"], "alice").Code)
				for range 3 {
					p.get(jobs["bob"], "bob")
				}
			}
		})
	}
}

// countedLimiter counts how often it is asked.
type countedLimiter struct {
	bulkexport.Limiter
	asked int
}

func (l *countedLimiter) Take(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
	l.asked++
	return l.Limiter.Take(ctx, key, cost, burst)
}

func TestPollsThatHeedRetryAfterCostNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		counted := &countedLimiter{Limiter: bulkexport.NewLimiter()}
		p := newNode(t, memstore.New(), httpadapter.Config{
			Limiter: counted, PollLimit: 5, TenantPolls: httpadapter.Rate{Burst: 100, Every: time.Second},
		})
		job := p.kickOff("alice")
		last := p.get(job, "alice")
		for range 100 {
			p.heed(last)
			last = p.get(job, "alice")
		}
		require.Zero(t, counted.asked)
		p.get(job, "alice")
		require.Equal(t, 2, counted.asked, "for its own polls and for those of its tenant")
		for range 1000 {
			p.get(job, "alice")
		}
		require.Equal(t, 2*4, counted.asked, "what this process refuses, nobody else is asked for")
	})
}

// brokenLimiter is that of a database that is away, or does not answer.
type brokenLimiter struct{ hangs bool }

func (l brokenLimiter) Take(ctx context.Context, _ string, _, _ time.Duration) (time.Duration, error) {
	if l.hangs {
		<-ctx.Done()
	}
	return 0, errors.New("the database is away")
}

func TestTroubleOfTheLimiterRefusesNobody(t *testing.T) {
	t.Parallel()
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			once, log := httpadapter.Rate{Burst: 1, Every: time.Hour}, &logBuffer{}
			p := newNode(t, memstore.New(), httpadapter.Config{
				Limiter: brokenLimiter{hangs}, Logger: slog.New(slog.NewTextHandler(log, nil)),
				ClientKickOffs: once, TenantKickOffs: once, TenantPolls: once, FailedLogins: once,
			})
			begun := time.Now()
			for range 5 {
				require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
				require.Equal(t, http.StatusUnauthorized, p.get(exportPath, "wrong").Code)
			}
			require.Equal(t, 1, strings.Count(log.String(), "the database is away"), "%s", log)
			require.NotContains(t, log.String(), "alice")
			if hangs {
				require.Less(t, time.Since(begun), time.Minute)
			} else {
				require.Zero(t, time.Since(begun))
			}
			elapse(time.Minute)
			require.Equal(t, http.StatusAccepted, p.get(exportPath, "alice").Code)
			require.Equal(t, 2, strings.Count(log.String(), "the database is away"), "%s", log)

			gone, cancel := context.WithCancel(t.Context())
			cancel()
			elapse(time.Minute)
			serve(p.handler, httptest.NewRequestWithContext(gone, http.MethodGet, exportPath, nil), "alice")
			require.Equal(t, 2, strings.Count(log.String(), "the database is away"), "a client that is gone is no trouble")
		})
	}
}

// TestLimitsOnTheWire shows each refusal as clients see it.
func TestLimitsOnTheWire(t *testing.T) {
	t.Parallel()
	once := httpadapter.Rate{Burst: 1, Every: time.Hour}
	k := newKit(t, setup{http: httpadapter.Config{
		Authorize: authorize, ClientKickOffs: once, TenantPolls: once, FailedLogins: once,
		RemoteAddr: func(r *http.Request) string { return r.Header.Get("X-Real-Ip") },
	}})
	const alice = "Authorization: Bearer alice"
	job := k.kickOff(exportPath, alice)
	k.golden("kickoff-too-often", k.get(exportPath, alice))
	for _, want := range []int{202, 202} {
		require.Equal(t, want, k.get(job, alice).status)
	}
	k.golden("polls-of-tenant-too-often", k.get(job, alice))
	wrong := []string{"Authorization: Bearer wrong", "X-Real-Ip: 192.0.2.7"}
	require.Equal(t, http.StatusUnauthorized, k.get(job, wrong...).status)
	k.golden("logins-too-many", k.get(job, wrong...))
}

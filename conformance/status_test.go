package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

func statusChecks() []check {
	return []check{
		{
			title: "a running export is 202 with X-Progress, Retry-After and JSON",
			ids:   ids("S-01", "S-02", "S-03", "P-101", "R-05", "R-06", "R-07", "R-09"), run: checkRunning,
		},
		{
			title: "a completed export is 200 with the manifest as application/json, and Expires",
			ids:   ids("S-14", "S-15", "S-16", "T-25", "A-09"), run: checkCompleted,
		},
		{
			title: "progress grows, and is 100 % only at the end",
			ids:   ids("S-02", "W-69"), run: checkProgress,
		},
		{
			title: "separate-export-status tells the two statuses apart",
			ids:   ids("S-19", "T-04"), run: checkSeparateStatus,
		},
		{
			title: "the status is the client's own",
			ids:   ids("S-21", "S-22", "A-03", "A-04", "T-23", "R-31"), run: checkForeignStatus,
		},
		{
			title: "a manifest and its files stay as they are",
			ids:   ids("S-12", "S-13", "S-20"), run: checkStability,
		},
		{
			title: "after the lifetime of the export status and files are 404, and the files removed",
			ids:   ids("S-16", "T-03", "A-09", "W-65"), run: checkExpiry,
		},
	}
}

func checkRunning(t *testing.T) {
	before, entered, release := held("Patient")
	k := start(t, setup{before: before, data: ward()})
	defer release()
	job := k.kickOff("/$export?_type=Patient")
	<-entered
	for _, accept := range []string{"application/json", "*/*", "application/fhir+json", "text/html"} {
		a := k.get(job, "Accept: "+accept)
		require.Equal(t, http.StatusAccepted, a.status)
		require.Regexp(t, `^[1-9]\d*$`, a.header.Get("Retry-After"))
		require.Regexp(t, `^\d{1,2}%`, a.header.Get("X-Progress"))
		require.Less(t, len(a.header.Get("X-Progress")), 100)
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		running := k.object(a.body)
		require.Equal(t, "in-progress", running["status"])
		require.NotContains(t, running, "output")
	}
	require.Equal(t, http.StatusNotFound, k.get(job+"/Patient.ndjson").status)
}

func checkCompleted(t *testing.T) {
	k := start(t, setup{data: ward(), core: bulkexport.Config{TTL: time.Hour}})
	e := k.export("/$export")
	for _, accept := range []string{"application/json", "*/*", "application/fhir+json", "text/html"} {
		a := k.get(e.job, "Accept: "+accept)
		require.Equal(t, http.StatusOK, a.status)
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		require.Empty(t, a.header.Get("Retry-After"))
		require.Equal(t, e.complete.body, a.body)
		expires, err := http.ParseTime(a.header.Get("Expires"))
		require.NoError(t, err)
		require.WithinRange(t, expires, e.TransactionTime.Add(time.Hour), time.Now().Add(time.Hour))
	}
}

func checkProgress(t *testing.T) {
	const total = 20
	gate := make(chan struct{})
	k := start(t, setup{before: func(ctx context.Context, _ []byte) error {
		for range 2 { // a resource comes, and goes on
			select {
			case gate <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}})
	for i := range total {
		k.put(fmt.Sprintf("Patient/%d", i))
	}
	job := k.kickOff("/$export")
	percent := regexp.MustCompile(`^(\d+)% \((\d+) / 20 resources\)$`)
	last := 0
	for range total {
		<-gate
		found := percent.FindStringSubmatch(k.get(job).header.Get("X-Progress"))
		require.NotNil(t, found)
		reached, err := strconv.Atoi(found[1])
		require.NoError(t, err)
		require.GreaterOrEqual(t, reached, last)
		require.Less(t, reached, 100)
		last = reached
		<-gate
	}
	require.Equal(t, total, k.count(k.finish(job)))
}

// count adds up the counts of a manifest.
func (k *server) count(e export) int {
	sum := 0
	for _, file := range *e.Output {
		sum += *file.Count
	}
	return sum
}

func checkSeparateStatus(t *testing.T) {
	before, entered, release := held(`"Patient"`)
	k := start(t, setup{before: func(ctx context.Context, resource []byte) error {
		if bytes.Contains(resource, []byte(`"ValueSet"`)) {
			return errors.New("broken")
		}
		return before(ctx, resource)
	}, data: ward(), core: bulkexport.Config{MaxAttempts: 1}})
	defer release()
	const separate = "Prefer: respond-async, separate-export-status"
	job := k.kickOff("/$export?_type=Patient", separate)
	<-entered
	running := k.get(job)
	require.Equal(t, [2]string{"200 OK", "202 Accepted"}, statuses(running))
	require.NotEmpty(t, running.header.Get("Retry-After"))
	require.NotEmpty(t, running.header.Get("X-Progress"))
	require.Empty(t, running.body, "it would be taken for a manifest")
	release()
	e := k.finish(job)
	require.Equal(t, [2]string{"200 OK", "200 OK"}, statuses(e.complete))
	require.Equal(t, "application/json", e.complete.header.Get("Content-Type"))

	failing := k.kickOff("/$export?_type=ValueSet", separate)
	k.await(failing)
	failed := k.get(failing)
	require.Equal(t, [2]string{"200 OK", "500 Internal Server Error"}, statuses(failed))
	k.outcome(failed)

	k.send("DELETE", job, "")
	require.Equal(t, [2]string{"404 Not Found", ""}, statuses(k.get(job)))
}

// statuses are those of the request and of the export.
func statuses(a answer) [2]string {
	return [2]string{fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), a.header.Get("X-Export-Status")}
}

func checkForeignStatus(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	e := k.export("/$export", bearer("alice"))
	for _, method := range []string{"GET", "DELETE"} {
		require.Equal(t, "login", k.fails(k.send(method, e.job, ""), http.StatusUnauthorized).Code)
		for _, other := range []string{"bob", "elsewhere"} {
			require.Equal(t, "not-found", k.fails(k.send(method, e.job, "", bearer(other)), http.StatusNotFound).Code)
		}
	}
	require.Equal(t, http.StatusOK, k.get(e.job, bearer("alice")).status)
}

func checkStability(t *testing.T) {
	k := start(t, setup{data: ward()})
	e := k.export("/$export")
	k.put("Patient/new", `Patient/a "gender":"unknown"`)
	k.remove("Patient/b")
	again := k.read(e.job)
	require.Equal(t, e.complete.body, again.complete.body)
	require.Equal(t, e.complete.header.Get("Expires"), again.complete.header.Get("Expires"), "nothing is renewed")
	require.Equal(t, e.files, again.files)
}

// checkExpiry looks before and after the end of the lifetime, and again when the
// sweeper, which comes every five seconds, has been there.
func checkExpiry(t *testing.T) {
	const lifetime = time.Hour + 2*time.Second
	sink := newWatchedSink()
	inBubble(t, setup{data: []string{"Patient/a"}, core: bulkexport.Config{TTL: lifetime, Sink: sink}}, func(k *server) {
		e := k.export("/$export")
		pass(lifetime - time.Second)
		require.Equal(k, http.StatusOK, k.get(e.job).status)
		require.Equal(k, http.StatusOK, k.get((*e.Output)[0].URL).status)
		pass(time.Second)
		require.Equal(k, "not-found", k.fails(k.get(e.job), http.StatusNotFound).Code)
		require.Equal(k, "not-found", k.fails(k.get((*e.Output)[0].URL), http.StatusNotFound).Code)
		pass(time.Minute)
		require.Equal(k, []string{e.id()}, sink.removed())
	})
}

func pollingChecks() []check {
	return []check{
		{
			title: "a client that heeds Retry-After comes to the end, and is never refused",
			ids:   ids("K-05", "S-03", "R-05", "R-09", "T-24", "W-70"), run: checkPolite,
		},
		{
			title: "a client that polls without pause is 429 with Retry-After, and the export goes on",
			ids:   ids("S-04", "T-24", "R-09", "W-70"), run: checkHotPolling,
		},
		{
			title: "Retry-After is 1 to 120 whole seconds, from the measured rate",
			ids:   ids("S-03", "R-05", "W-70", "W-71"), run: checkRetryAfter,
		},
		{
			title: "downloads are not limited",
			ids:   ids("R-12"), run: checkDownloadsAtOnce,
		},
	}
}

// slowly is a setup.before that takes its time for each resource.
func slowly(d time.Duration) func(ctx context.Context, _ []byte) error {
	return func(ctx context.Context, _ []byte) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func checkPolite(t *testing.T) {
	s := setup{data: ward(), before: slowly(10 * time.Second), http: httpadapter.Config{PollLimit: 1}}
	inBubble(t, s, func(k *server) {
		job := k.kickOff("/$export")
		for polls := 0; ; polls++ {
			require.Less(k, polls, 1000)
			a := k.get(job)
			if a.status == http.StatusOK {
				require.Greater(k, polls, 1)
				return
			}
			require.Equal(k, http.StatusAccepted, a.status)
			pass(k.retryAfter(a))
		}
	})
}

func (k *server) retryAfter(a answer) time.Duration {
	k.Helper()
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	require.NoError(k, err)
	require.GreaterOrEqual(k, seconds, 1)
	require.LessOrEqual(k, seconds, 120)
	return time.Duration(seconds) * time.Second
}

func checkHotPolling(t *testing.T) {
	s := setup{data: ward(), before: slowly(time.Minute), http: httpadapter.Config{PollLimit: 5}}
	inBubble(t, s, func(k *server) {
		job := k.kickOff("/$export?_type=ValueSet")
		for range 5 {
			require.Equal(k, http.StatusAccepted, k.get(job).status)
		}
		hot := k.get(job)
		require.Equal(k, "throttled", k.fails(hot, http.StatusTooManyRequests).Code)
		pass(k.retryAfter(hot))
		require.Equal(k, http.StatusAccepted, k.get(job).status)
		require.Equal(k, []string{"ValueSet/v"}, k.finish(job).names())
	})
}

func checkRetryAfter(t *testing.T) {
	for pause, want := range map[time.Duration][2]time.Duration{
		time.Millisecond: {time.Second, time.Second},
		time.Hour:        {120 * time.Second, 120 * time.Second},
		3 * time.Second:  {12 * time.Second, 18 * time.Second}, // five resources are left
	} {
		cfg := bulkexport.Config{StallTimeout: 24 * time.Hour, Lease: pause + time.Second}
		inBubble(t, setup{before: slowly(pause), core: cfg}, func(k *server) {
			for i := range 20 {
				k.put(fmt.Sprintf("Patient/%d", i))
			}
			job := k.kickOff("/$export")
			pass(15*pause + pause/2)
			wait := k.retryAfter(k.get(job))
			require.GreaterOrEqual(k, wait, want[0], pause)
			require.LessOrEqual(k, wait, want[1], pause)
		})
	}
}

func checkDownloadsAtOnce(t *testing.T) {
	k := start(t, setup{data: ward(), http: httpadapter.Config{PollLimit: 1},
		core: bulkexport.Config{MaxFileResources: 1, MaxClientExports: 1}})
	e := k.export("/$export")
	require.Len(t, *e.Output, len(everything()))
	answers := make(chan int)
	for _, file := range *e.Output {
		go func() {
			response, err := k.client.Get(file.URL)
			if err != nil {
				answers <- 0
				return
			}
			response.Body.Close()
			answers <- response.StatusCode
		}()
	}
	for range *e.Output {
		require.Equal(t, http.StatusOK, <-answers)
	}
}

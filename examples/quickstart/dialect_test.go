package main

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// As SMART's reference server speaks: text in the status, no Retry-After, no
// ETag, files on another port.
func TestServerLikeSMARTs(t *testing.T) {
	t.Parallel()
	api, store := newServer(t), newServer(t)
	api.on("GET /fhir/Patient/$export",
		answer(http.StatusAccepted, "Your request has been accepted", "Content-Location", api.URL+"/job"))
	running := answer(http.StatusAccepted, "Export in progress...", "X-Progress", "25%")
	api.onStatus(running, running, running, api.manifest(map[string]any{
		"output": []any{item("Patient", store.URL+"/dl/1.Patient.ndjson?x=1", 1)},
	}))
	store.on("GET /dl/1.Patient.ndjson", answer(http.StatusOK, ada))

	e := export(t.Context(), t, api.URL+"/fhir/Patient/$export", "Authorization: "+token)
	require.NoError(t, e.err)
	require.Equal(t, map[string]string{"Patient.ndjson": ada}, e.files(t))
	require.Equal(t, seconds(1, 2, 4), e.waits)
	require.Equal(t, []string{token}, store.authorizations("/dl/1.Patient.ndjson"), "the manifest requires it")
	kickOff := api.requests(http.MethodGet, "/fhir/Patient/$export")
	require.Len(t, kickOff, 1)
	require.Equal(t, "application/fhir+json", kickOff[0].Header.Get("Accept"))
	require.Equal(t, "respond-async", kickOff[0].Header.Get("Prefer"))
	require.Len(t, api.requests(http.MethodDelete, "/job"), 1)
	for _, want := range []string{
		"curl -i -H 'Accept: application/fhir+json' -H 'Prefer: respond-async' -H 'Authorization: …' '" + api.URL,
		"202 Accepted, 25%; again in 1s", "200 OK, 1 file, the state of 2026-03-07T11:42:10.318Z",
		"1 lines, 38 bytes: each line is one resource", "404 Not Found", "SHA-256 (first 16 digits)",
	} {
		require.Contains(t, e.printed, want)
	}
	require.NotContains(t, e.printed, secret)
}

// As HAPI speaks: one status URL with a query, files that are Binary resources
// without an extension and without a count, long waits.
func TestServerLikeHAPI(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	poll := s.URL + "/fhir/$export-poll-status?_jobId=c1"
	s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", poll))
	s.on("GET /fhir/$export-poll-status",
		answer(http.StatusAccepted, "", "X-Progress", "Build in progress - Status set to IN_PROGRESS", "Retry-After", "120"),
		s.manifest(map[string]any{
			"output": []any{
				item("Patient", s.URL+"/fhir/Binary/11", -1), item("Patient", s.URL+"/fhir/Binary/12", -1),
				item("Observation", s.URL+"/fhir/Binary/13", -1),
			},
			"deleted": []any{}, "message": "",
		}),
		answer(http.StatusOK, "still there"))
	s.on("DELETE /fhir/$export-poll-status", answer(http.StatusAccepted, `{"resourceType":"OperationOutcome"}`))
	s.on("GET /fhir/Binary/{id}", answer(http.StatusOK, ada), answer(http.StatusOK, ada), answer(http.StatusOK, pulse))

	e := export(t.Context(), t, s.URL+"/fhir")
	require.NoError(t, e.err)
	require.Equal(t, seconds(120), e.waits)
	require.Equal(t, map[string]string{
		"Patient.ndjson": ada, "Patient-0002.ndjson": ada, "Observation.ndjson": pulse,
	}, e.files(t))
	require.Contains(t, e.printed, "202 Accepted, Build in progress - Status set to IN_PROGRESS; again in 2m0s")
	require.Contains(t, e.printed, "3 files without a count")
	require.Contains(t, e.printed, "404 is what should come", "HAPI went on answering 202 or 200")
	for _, r := range s.requests(http.MethodGet, "/fhir/Binary/11") {
		require.Equal(t, "application/fhir+ndjson", r.Header.Get("Accept"), "or it may send the Binary itself")
	}
}

func TestWaitsAsTheServerSays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)
	date, later := now.Format(http.TimeFormat), now.Add(90*time.Second).Format(http.TimeFormat)
	s := newServer(t)
	s.onJob(nil,
		answer(http.StatusAccepted, "", "Date", date, "Retry-After", later),
		refusal(http.StatusTooManyRequests, "throttled", "Slow down.", "Retry-After", "7"),
		answer(http.StatusAccepted, "{not JSON", "Retry-After", "0"),
		answer(http.StatusAccepted, `{"status":"in-progress"}`, "Date", later, "Retry-After", date),
		answer(http.StatusServiceUnavailable, "<html>"),
		refusal(http.StatusInternalServerError, "timeout", "The database is slow."),
		answer(http.StatusAccepted, "", "Retry-After", "soon"),
		cut("202 Accepted"),
		cut("200 OK"),
		answer(http.StatusAccepted, "", "Retry-After", "99999999999999999999"),
	)
	e := export(t.Context(), t, s.URL+"/fhir")
	require.NoError(t, e.err)
	require.Equal(t, seconds(90, 7, 1, 1, 1, 2, 4, 8, 16, 32), e.waits)
	require.Contains(t, e.printed, "Slow down.; again in 7s")
	require.Contains(t, e.printed, "The database is slow.; again in 2s")
	require.Contains(t, e.printed, "200 OK, 0 files")
}

// cut breaks the connection in the middle of the body.
func cut(status string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		connection, stream, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = stream.WriteString("HTTP/1.1 " + status + "\r\nContent-Length: 1000\r\n\r\n{")
		_ = stream.Flush()
		_ = connection.Close()
	}
}

// Only failures in a row count: a long export may see many.
func TestTroubleIsForgottenWhenItPasses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var running []http.HandlerFunc
	for range maxTroubles + 1 {
		running = append(running, answer(http.StatusServiceUnavailable, ""), answer(http.StatusAccepted, ""))
	}
	s.onJob(nil, running...)
	e := export(t.Context(), t, s.URL+"/fhir")
	require.NoError(t, e.err)
	require.Len(t, e.waits, len(running))
	require.Equal(t, maxOwnWait, slices.Max(e.waits))
}

func TestTroubleThatDoesNotPassEndsIt(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]http.HandlerFunc{
		"always busy": answer(http.StatusServiceUnavailable, "", "Retry-After", "5"),
		"never there": cut("200 OK"),
	} {
		s := newServer(t)
		s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", s.URL+"/job"))
		s.onStatus(status)
		e := export(t.Context(), t, s.URL+"/fhir")
		require.ErrorContains(t, e.err, "poll: GET "+s.URL+"/job", name)
		require.Len(t, e.waits, maxTroubles, name)
	}
}

func TestFailedJobEndsItWithItsOutcome(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", "/job")) // relative
	s.onStatus(
		answer(http.StatusAccepted, ""),
		refusal(http.StatusInternalServerError, "processing", "The disk is full.\x1b[2J"),
	)
	e := export(t.Context(), t, s.URL+"/fhir")
	require.EqualError(t, e.err,
		"poll: GET "+s.URL+"/job: 500 Internal Server Error; error: processing: The disk is full. [2J")
	require.Equal(t, seconds(1), e.waits)
	require.Empty(t, s.requests(http.MethodDelete, "/job"))
	require.Contains(t, e.printed, "The job is still there. To end it:\n   $ curl -i -X DELETE '"+s.URL+"/job'")
}

func TestKickOffThatFailsEndsIt(t *testing.T) {
	t.Parallel()
	for fault, answer := range map[string]http.HandlerFunc{
		"_until is unknown":       refusal(http.StatusBadRequest, "not-supported", "_until is unknown"),
		"429 Too Many Requests":   refusal(http.StatusTooManyRequests, "throttled", "later"),
		"no Content-Location":     answer(http.StatusAccepted, ""),
		"200 OK":                  answer(http.StatusOK, "{}"),
		"read Content-Location: ": answer(http.StatusAccepted, "", "Content-Location", "http://[::1"),
	} {
		s := newServer(t)
		s.on("GET /fhir/$export", answer)
		e := export(t.Context(), t, s.URL+"/fhir")
		require.ErrorContains(t, e.err, "kick off: ")
		require.ErrorContains(t, e.err, fault)
		require.Empty(t, e.waits)
	}
}

func TestManifestOfSeveralPages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	messages := []any{item("OperationOutcome", s.URL+"/messages", 1)}
	s.onJob(map[string]any{
		"output":              []any{item("Patient", s.URL+"/patients", 1)},
		"error":               messages,
		"requiresAccessToken": nil,
		"link": []any{
			map[string]any{"relation": "self", "url": "/job"}, map[string]any{"relation": "next", "url": "/job/2"},
		},
		"extension":    []any{map[string]any{"url": "https://clinic.test/x", "valueBoolean": true}},
		"manifestType": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest",
	}, answer(http.StatusAccepted, `{"output":[]}`))
	s.on("GET /job/2", answer(http.StatusAccepted, "{}", "Retry-After", "3"), s.manifest(map[string]any{
		"output":  []any{item("Patient", s.URL+"/morepatients", 1)},
		"deleted": []any{item("Bundle", s.URL+"/deleted", 1)},
		"error":   messages,
	}))
	const (
		bundle = `{"resourceType":"Bundle","type":"transaction","entry":[]}` + "\n"
		notice = `{"resourceType":"OperationOutcome","issue":[]}` + "\n"
	)
	s.on("GET /patients", answer(http.StatusOK, ada))
	s.on("GET /morepatients", answer(http.StatusOK, ada))
	s.on("GET /deleted", answer(http.StatusOK, bundle))
	s.on("GET /messages", answer(http.StatusOK, notice))

	e := export(t.Context(), t, s.URL+"/fhir")
	require.NoError(t, e.err)
	require.Equal(t, seconds(1, 3), e.waits)
	require.Equal(t, map[string]string{
		"Patient.ndjson": ada, "Patient-0002.ndjson": ada, "deleted.ndjson": bundle, "error.ndjson": notice,
	}, e.files(t))
	require.Len(t, s.requests(http.MethodGet, "/messages"), 1, "every page names it")
	require.Contains(t, e.printed, "200 OK, 4 files on 2 pages, 1 of them deletions, 1 of them messages")
}

func TestManifestThatIsNoneEndsIt(t *testing.T) {
	t.Parallel()
	for fault, body := range map[string]string{
		"read manifest: ":                    "<html>",
		"neither transactionTime nor output": `{"resourceType":"OperationOutcome"}`,
		"a file of output has no URL":        `{"output":[{"type":"Patient"}]}`,
		"a file of deleted has no URL":       `{"output":[],"deleted":[{"url":"file:///etc/passwd"}]}`,
		"links to one before it":             `{"output":[],"link":[{"relation":"next","url":"job"}]}`,
		"missing ']' in host":                `{"output":[],"link":[{"relation":"next","url":"http://["}]}`,
		"a file of error has no URL":         `{"output":[],"error":[{"url":"s3://bucket/key"}]}`,
	} {
		s := newServer(t)
		s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", s.URL+"/job"))
		s.onStatus(answer(http.StatusOK, body))
		e := export(t.Context(), t, s.URL+"/fhir")
		require.ErrorContains(t, e.err, fault)
	}
}

// Organized by patient, files have no type of their own.
func TestOrganizedOutput(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.onJob(map[string]any{
		"outputOrganizedBy": "Patient",
		"output": []any{
			map[string]any{"url": s.URL + "/1", "continuesInFile": s.URL + "/2"}, item("Patient", s.URL+"/2", 2),
		},
	})
	const header = `{"resourceType":"Parameters","parameter":[{"name":"header"}]}` + "\n"
	s.on("GET /1", answer(http.StatusOK, header+ada+pulse))
	s.on("GET /2", answer(http.StatusOK, header+pulse))
	e := export(t.Context(), t, s.URL+"/fhir")
	require.NoError(t, e.err)
	require.Equal(t, map[string]string{
		"resources.ndjson": header + ada + pulse, "resources-0002.ndjson": header + pulse,
	}, e.files(t))
	require.Contains(t, e.printed, "several")
}

func TestServersChooseNoFileNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.onJob(map[string]any{"output": []any{
		item("../../Patient", s.URL+"/1/..%2f..%2fevil", -1), item("PATIENT", s.URL+"/1/.bashrc", -1),
		item("Patient", s.URL+"/1/.bashrc", -1),
	}})
	s.on("GET /1/", answer(http.StatusOK, ""))
	e := export(t.Context(), t, s.URL+"/fhir")
	require.NoError(t, e.err)
	require.Equal(t, map[string]string{
		"resources.ndjson": "", "PATIENT.ndjson": "", "Patient-0002.ndjson": "",
	}, e.files(t))
}

func TestWrongContentIsAnError(t *testing.T) {
	t.Parallel()
	for fault, body := range map[string]string{
		"1 lines of type Observation, but the manifest says Patient": ada + pulse,
		"1 lines, but the manifest says 2":                           ada,
		"3 lines, but the manifest says 2":                           ada + ada + ada,
		"line 2 is not JSON":                                         ada + ada[:20],
		"line 1 is not JSON":                                         ada[:len(ada)-1] + ada,
		"line 2: ":                                                   ada + "[]",
		"line 1: ":                                                   `{"id":"ada"}`,
	} {
		s := newServer(t)
		s.onJob(map[string]any{"output": []any{item("Patient", s.URL+"/patients", 2)}})
		s.on("GET /patients", answer(http.StatusOK, body))
		e := export(t.Context(), t, s.URL+"/fhir")
		require.ErrorContains(t, e.err, "Patient.ndjson: "+fault)
		require.NotContains(t, e.err.Error(), "ada", "content in an error")
		require.NotContains(t, e.printed, "each line is one resource")
		require.Len(t, s.requests(http.MethodDelete, "/job"), 1)
	}
}

func TestDeleteInOtherWords(t *testing.T) {
	t.Parallel()
	for status, fine := range map[int]bool{
		http.StatusOK: true, http.StatusAccepted: true, http.StatusNoContent: true,
		http.StatusMethodNotAllowed: false, http.StatusInternalServerError: false,
	} {
		s := newServer(t)
		s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", s.URL+"/job"))
		s.on("GET /job", s.manifest(nil), answer(http.StatusGone, ""))
		s.on("DELETE /job", answer(status, ""))
		e := export(t.Context(), t, s.URL+"/fhir")
		if fine {
			require.NoError(t, e.err)
			require.Contains(t, e.printed, "410 Gone (404 is what should come from now on)")
		} else {
			require.ErrorContains(t, e.err, "delete: DELETE "+s.URL+"/job: ")
			require.Contains(t, e.printed, "The files are in ", "which are there all the same")
		}
	}
}

func TestInterruptCancelsTheJob(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"GET /job", "GET /patients"} {
		s := newServer(t)
		ctx, interrupt := context.WithCancelCause(t.Context())
		reason := http.ErrAbortHandler // any error
		stop := func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			interrupt(reason)
		}
		s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", s.URL+"/status"))
		s.on("GET /status", func(w http.ResponseWriter, r *http.Request) {
			if where == "GET /job" {
				stop(w, r)
				return
			}
			s.manifest(map[string]any{"output": []any{item("Patient", s.URL+"/patients", 1)}})(w, r)
		})
		s.on("GET /patients", stop)
		s.on("DELETE /status", answer(http.StatusAccepted, ""))
		e := export(ctx, t, s.URL+"/fhir", "Authorization: "+token)
		require.ErrorIs(t, e.err, reason)
		cancelled := s.requests(http.MethodDelete, "/status")
		require.Len(t, cancelled, 1)
		require.Equal(t, token, cancelled[0].Header.Get("Authorization"))
		require.Contains(t, e.printed, ". Cancel\n")
		require.Empty(t, e.files(t), "half a file")
	}
}

package conformance_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func failureChecks() []check {
	return []check{
		{
			title: "a failed export is 500 with an OperationOutcome at every poll, and can be deleted",
			ids:   ids("S-06", "S-07", "S-08", "S-18", "T-04", "W-66"), run: checkFailed,
		},
		{
			title: "what cannot be exported is in the error file of an export that succeeds",
			ids:   ids("S-17", "M-50", "M-52", "M-53", "W-54", "W-76"), run: checkPartialSuccess,
		},
		{
			title: "trouble that is not the export's is 503 with a transient code",
			ids:   ids("S-09", "R-28"), run: checkTransient,
		},
		{
			title: "each status code means what clients take it for",
			ids:   ids("R-28"), run: checkCodes,
		},
	}
}

const secret = "Szczepański"

func checkFailed(t *testing.T) {
	k := start(t, setup{
		data: []string{`Patient/a "name":[{"family":"` + secret + `"}]`}, core: bulkexport.Config{MaxAttempts: 1},
		before: func(context.Context, []byte) error { return errors.New("disk is on fire") },
	})
	job := k.kickOff("/$export")
	k.await(job)
	for _, accept := range []string{"application/fhir+json", "*/*"} {
		first := k.fails(k.get(job, "Accept: "+accept), http.StatusInternalServerError)
		require.Equal(t, "processing", first.Code, "not one of the codes that are tried again")
		require.Contains(t, first.Diagnostics, "Patient")
		require.NotContains(t, first.Diagnostics, "fire")
	}
	a := k.get(job, "Accept: application/json")
	require.Equal(t, http.StatusInternalServerError, a.status)
	k.readOutcome(a.body)
	require.Contains(t, k.log.String(), "fire")
	require.NotContains(t, k.log.String(), secret)
	require.Equal(t, http.StatusNoContent, k.send("DELETE", job, "").status)
	k.fails(k.get(job), http.StatusNotFound)
}

func checkPartialSuccess(t *testing.T) {
	k := start(t, setup{
		data: ward(),
		before: func(_ context.Context, resource []byte) error {
			if bytes.Contains(resource, []byte(`"b"`)) {
				return &bulkexport.ResourceError{Type: "Patient", ID: "b", Reason: "its body is elsewhere", Err: errors.New(secret)}
			}
			return nil
		},
	})
	e := k.export("/$export?_type=Patient,Observation")
	require.Equal(t, append(only(everything(), "Observation"), "Patient/a", "Patient/c"), e.names())
	require.Len(t, *e.Error, 1)
	file := (*e.Error)[0]
	require.Equal(t, "OperationOutcome", *file.Type)
	require.Equal(t, 1, *file.Count)
	require.Equal(t, map[string]any{"error": 1.0}, extension(file.Extension, "severities"))
	require.Equal(t, "application/fhir+ndjson", k.get(file.URL).header.Get("Content-Type"))
	issues := k.outcomes(e)
	require.Len(t, issues, 1)
	require.Equal(t, "error", issues[0].Severity)
	require.Contains(t, issues[0].Diagnostics, "Patient/b")
	require.NotContains(t, issues[0].Diagnostics, secret)
}

// troubledStore fails to read jobs.
type troubledStore struct {
	*memstore.Store
	err error
}

func (s *troubledStore) Job(context.Context, string) (bulkexport.Job, error) {
	return bulkexport.Job{}, s.err
}

func checkTransient(t *testing.T) {
	store := &troubledStore{memstore.New(), errors.New("no connection")}
	k := start(t, setup{unstarted: true, core: bulkexport.Config{Store: store}})
	job := k.kickOff("/$export")
	retried := []string{"transient", "lock-error", "no-store", "exception", "timeout", "incomplete", "throttled"}
	for _, err := range []error{errors.New("no connection"), context.DeadlineExceeded} {
		store.err = err
		for _, target := range []string{job, job + "/Patient.ndjson"} {
			a := k.get(target)
			require.Contains(t, retried, k.fails(a, http.StatusServiceUnavailable).Code)
			require.NotContains(t, string(a.body), "connection")
		}
	}
}

func checkCodes(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	job := k.kickOff("/$export", bearer("alice"))
	k.await(job)
	require.Equal(t, http.StatusOK, k.get(job, bearer("alice")).status)
	a := k.get(job, bearer("expired"))
	require.Equal(t, "login", k.fails(a, http.StatusUnauthorized).Code)
	require.Contains(t, a.header.Get("WWW-Authenticate"), `error="invalid_token"`)
	require.Equal(t, "transient", k.fails(k.get(job, bearer("trouble")), http.StatusServiceUnavailable).Code)
	require.Equal(t, "not-found", k.fails(k.get(job+"x", bearer("alice")), http.StatusNotFound).Code)
}

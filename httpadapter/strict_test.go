package httpadapter_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

// TestFaces sends the same to both faces of the adapter.
func TestFaces(t *testing.T) {
	t.Parallel()
	liberal := newKit(t, setup{})
	strict := newKit(t, setup{http: httpadapter.Config{Strict: true}})
	for _, k := range []*kit{liberal, strict} {
		k.addFile(bulkexport.Caller{}, lines)
	}
	const async = "Prefer: respond-async"
	const kickOff = "/fhir/Patient/$export"
	for _, test := range []struct {
		target          string
		headers         []string
		liberal, strict int
	}{
		{kickOff, nil, 202, 400},
		{kickOff, []string{"Prefer: handling=lenient"}, 202, 400},
		{kickOff, []string{"Prefer: respond-sync"}, 202, 400},
		{kickOff, []string{async}, 202, 202},
		{kickOff, []string{"Prefer: handling=lenient", "prefer: Respond-Async; wait=5"}, 202, 202},
		{kickOff, []string{async, "Accept: "}, 202, 202},
		{kickOff, []string{async, "Accept: */*"}, 202, 202},
		{kickOff, []string{async, "Accept: application/*;q=0.5"}, 202, 202},
		{kickOff, []string{async, "Accept: application/fhir+json"}, 202, 202},
		{kickOff, []string{async, "Accept: application/fhir+json; fhirVersion=4.0"}, 202, 202},
		{kickOff, []string{async, "Accept: application/json, application/fhir+json;q=0.1"}, 202, 202},
		{kickOff, []string{async, "Accept: text/html", "Accept: application/fhir+json"}, 202, 202},
		{kickOff, []string{async, "Accept: application/json"}, 202, 406},
		{kickOff, []string{async, "Accept: application/fhir+xml"}, 202, 406},
		{kickOff, []string{async, "Accept: application/fhir+ndjson"}, 202, 406},
		{kickOff, []string{async, "Accept: application/fhir+json;q=0, */*"}, 202, 406},
		{kickOff, []string{async, "Accept: */*;q=0"}, 202, 406},
		// Never on status, and on files only where something else is asked for.
		{status, []string{"Accept: text/html"}, 200, 200},
		{file, nil, 200, 200},
		{file, []string{"Accept: */*"}, 200, 200},
		{file, []string{"Accept: application/fhir+ndjson"}, 200, 200},
		{file, []string{"Accept: application/ndjson"}, 200, 200},
		{file, []string{"Accept: application/json"}, 200, 200},
		{file, []string{"Accept: application/fhir+json"}, 200, 200},
		{file, []string{"Accept: text/csv"}, 200, 406},
		{file, []string{"Accept: application/parquet, application/*;q=0"}, 200, 406},
	} {
		require.Equal(t, test.liberal, liberal.get(test.target, test.headers...).status, "%s %q", test.target, test.headers)
		res := strict.get(test.target, test.headers...)
		require.Equal(t, test.strict, res.status, "%s %q", test.target, test.headers)
		if res.status >= 400 {
			outcomeOf(t, res.body)
		}
	}
	require.Equal(t, http.StatusNoContent, liberal.do("DELETE", status).status)
	require.Equal(t, http.StatusAccepted, strict.do("DELETE", status).status)
	require.Equal(t, http.StatusNotFound, strict.do("DELETE", status).status)
}

// TestStrictAnswersInTheTypeAskedFor is for clients that say application/json
// and are refused for it.
func TestStrictAnswersInTheTypeAskedFor(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{http: httpadapter.Config{Strict: true}})
	res := k.get("/fhir/$export", "Prefer: respond-async", "Accept: application/json")
	require.Equal(t, http.StatusNotAcceptable, res.status)
	require.Equal(t, "application/json", res.header.Get("Content-Type"))
}

func TestDeleteStatusWinsOverStrict(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{http: httpadapter.Config{Strict: true, DeleteStatus: http.StatusNoContent}})
	k.addFile(bulkexport.Caller{}, lines)
	require.Equal(t, http.StatusNoContent, k.do("DELETE", status).status)
}

// TestStrictAsksForATokenFirst has a request wrong in all ways.
func TestStrictAsksForATokenFirst(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{http: httpadapter.Config{Strict: true, Authorize: authorize}})
	require.Equal(t, http.StatusUnauthorized, k.get("/fhir/$export", "Accept: text/html").status)
}

package conformance_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

func kickOffChecks() []check {
	return []check{
		{
			title: "each level is where the guide has it, and answers 202 and a status URL",
			ids:   ids("K-01", "K-02", "K-03", "K-04", "K-05", "K-06", "K-10", "K-11", "T-36", "R-27"),
			run:   checkLevels,
		},
		{
			title: "links come from the configured base URL, also behind a proxy",
			ids:   ids("K-11", "M-04", "T-18", "T-36", "W-67"), run: checkBaseURL,
		},
		{
			title: "an accepted kick-off has no body, and is not to be cached",
			ids:   ids("K-12", "T-34"), run: checkKickOffBody,
		},
		{
			title: "Accept and Prefer may be missing, and Accept may be anything",
			ids:   ids("K-08", "K-09", "R-01", "R-02", "R-03", "T-25", "W-75"), run: checkLiberal,
		},
		{
			title: "Strict asks for Prefer and for an Accept that admits FHIR",
			ids:   ids("K-08", "K-09", "R-02", "R-03", "T-25", "W-75"), run: checkStrict,
		},
		{
			title: "errors of a kick-off are 4XX or 5XX with an OperationOutcome",
			ids:   ids("K-13", "K-14", "T-26"), run: checkErrors,
		},
		{
			title: "errors have the media type that was asked for",
			ids:   ids("R-04", "S-07"), run: checkErrorMediaType,
		},
		{
			title: "too many exports of a client are 429 with Retry-After",
			ids:   ids("K-15", "K-18", "T-24"), run: checkLimits,
		},
		{
			title: "the same kick-off again is another export, with the data of then",
			ids:   ids("T-33", "W-51"), run: checkNoCache,
		},
		{
			title: "a server exports the types that it is configured for, and refuses others",
			ids:   ids("K-19", "K-20", "P-41", "A-22"), run: checkConfiguredTypes,
		},
		{
			title: "separate-export-status is acknowledged with respond-async",
			ids:   ids("K-17", "T-39"), run: checkPreferenceApplied,
		},
		{
			title: "Prefer is read as RFC 7240 has it",
			ids:   ids("K-09", "K-21", "P-111"), run: checkPrefer,
		},
	}
}

func checkLevels(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, target := range []string{"/$export", "/Patient/$export", "/Group/ward/$export", "/%24export"} {
		a := k.get(target, "Accept: application/fhir+json", "Prefer: respond-async")
		job := k.accepted(a)
		require.Regexp(t, `^`+k.root+`/bulk-export/[a-z2-7]{26}$`, job)
		k.await(job)
		require.Equal(t, http.StatusOK, k.get(job).status, target)
	}
	require.Equal(t, "not-found", k.fails(k.get("/Group/none/$export"), http.StatusNotFound).Code)
}

// checkBaseURL has a proxy cut a path and change the host.
func checkBaseURL(t *testing.T) {
	k := start(t, setup{
		data: []string{"Patient/a"},
		http: httpadapter.Config{BaseURL: "https://fhir.example/tenant/1"},
		wrap: func(handler http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path = "/tenant/1" + r.URL.Path
				handler.ServeHTTP(w, r)
			})
		},
	})
	inside := func(url string) string {
		require.True(t, strings.HasPrefix(url, "https://fhir.example/tenant/1/"), url)
		return k.root + strings.TrimPrefix(url, "https://fhir.example/tenant/1")
	}
	job := inside(k.kickOff("/$export?_type=Patient"))
	k.await(job)
	m := k.manifest(k.get(job))
	require.Equal(t, "https://fhir.example/tenant/1/fhir/$export?_type=Patient", *m.Request)
	require.Len(t, *m.Output, 1)
	require.Equal(t, http.StatusOK, k.get(inside((*m.Output)[0].URL)).status)
}

func checkKickOffBody(t *testing.T) {
	k := start(t, setup{})
	a := k.get("/$export")
	require.Empty(t, a.body)
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	job := k.accepted(a)
	require.Equal(t, "no-store", k.get(job).header.Get("Cache-Control"))
	k.await(job)
	require.Equal(t, "no-store", k.get(job).header.Get("Cache-Control"))
}

func checkLiberal(t *testing.T) {
	k := start(t, setup{})
	for _, headers := range [][]string{
		{}, {"Accept: */*"}, {"Accept: application/json"}, {"Accept: text/html"}, {"Prefer: return=minimal"},
	} {
		job := k.kickOff("/$export", headers...)
		k.await(job)
		require.Equal(t, http.StatusOK, k.get(job, headers...).status, "%v", headers)
	}
}

func checkStrict(t *testing.T) {
	k := start(t, setup{http: httpadapter.Config{Strict: true}})
	const async, fhir = "Prefer: respond-async", "Accept: application/fhir+json"
	k.fails(k.get("/$export", fhir), http.StatusBadRequest)
	k.fails(k.get("/$export", fhir, "Prefer: handling=lenient"), http.StatusBadRequest)
	a := k.get("/$export", async, "Accept: application/json")
	require.Equal(t, http.StatusNotAcceptable, a.status)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	k.readOutcome(a.body)
	k.fails(k.get("/$export", async, "Accept: text/html"), http.StatusNotAcceptable)
	for _, accept := range []string{
		fhir, fhir + ";fhirVersion=4.0", "Accept: text/html, */*;q=0.1", "Accept: application/*", "X-No: Accept",
	} {
		k.kickOff("/$export", async, accept)
	}
	job := k.kickOff("/$export", async)
	k.await(job)
	require.Equal(t, http.StatusOK, k.get(job, "Accept: text/html").status, "a status is never 406")
}

func checkErrors(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	alice := bearer("alice")
	for _, test := range []struct {
		answer answer
		status int
	}{
		{k.get("/$export?_since=yesterday", alice), 400},
		{k.get("/$export?_type=%zz", alice), 400},
		{k.post("/$export", "{", alice), 400},
		{k.get("/$export"), 401},
		{k.get("/$export", bearer("mallory")), 401},
		{k.get("/$export", bearer("suspended")), 403},
		{k.get("/$export?_type=Observation", bearer("patients")), 403},
		{k.get("/Group/none/$export", alice), 404},
		{k.get("/Encounter/$export", alice), 404},
		{k.send("PUT", "/$export", "", alice), 405},
		{k.send("POST", "/$export", "x", alice, "Content-Type: text/plain"), 415},
		{k.get("/$export", bearer("trouble")), 503},
	} {
		k.fails(test.answer, test.status)
		require.Empty(t, test.answer.header.Get("Content-Location"))
	}
}

func checkErrorMediaType(t *testing.T) {
	k := start(t, setup{data: []string{"Patient/a"}})
	for accept, want := range map[string]string{
		"application/json":      "application/json",
		"application/fhir+json": "application/fhir+json",
		"*/*":                   "application/fhir+json",
		"application/json, application/fhir+json": "application/fhir+json",
	} {
		a := k.get("/$export?_since=x", "Accept: "+accept)
		require.Equal(t, want, a.header.Get("Content-Type"), accept)
		k.readOutcome(a.body)
		e := k.export("/$export", "Accept: "+accept)
		require.Equal(t, "application/json", e.complete.header.Get("Content-Type"))
		file := k.get((*e.Output)[0].URL, "Accept: "+accept)
		require.Equal(t, "application/fhir+ndjson", file.header.Get("Content-Type"))
	}
}

func checkLimits(t *testing.T) {
	k := start(t, setup{secure: true, unstarted: true, core: bulkexport.Config{MaxClientExports: 2, MaxTenantExports: 3}})
	alice, bob := bearer("alice"), bearer("bob")
	job := k.kickOff("/$export", alice)
	k.kickOff("/$export", alice)
	a := k.get("/$export", alice)
	require.Equal(t, "throttled", k.fails(a, http.StatusTooManyRequests).Code)
	require.Regexp(t, `^[1-9]\d*$`, a.header.Get("Retry-After"))
	k.kickOff("/$export", bob)
	k.fails(k.get("/$export", bob), http.StatusTooManyRequests)
	k.kickOff("/$export", bearer("elsewhere"))
	require.Equal(t, http.StatusNoContent, k.send("DELETE", job, "", alice).status)
	k.kickOff("/$export", alice)
}

func checkNoCache(t *testing.T) {
	k := start(t, setup{data: []string{"Patient/a"}})
	first := k.export("/$export")
	k.put("Patient/b")
	second := k.export("/$export")
	require.NotEqual(t, first.job, second.job)
	require.Equal(t, sorted("Patient/a"), first.names())
	require.Equal(t, sorted("Patient/a", "Patient/b"), second.names())
	require.Equal(t, first.complete.body, k.get(first.job).body)
}

func checkConfiguredTypes(t *testing.T) {
	k := start(t, setup{data: ward(), core: bulkexport.Config{ResourceTypes: []string{"Patient", "Observation"}}})
	k.refused(k.get("/$export?_type=Condition"), 400, "_type")
	k.refused(k.get("/$export?_type=Patient,Condition"), 400, "_type")
	k.refused(k.get("/$export?_type=NoSuchType"), 400, "_type")
	want := append(only(everything(), "Observation"), only(everything(), "Patient")...)
	require.Equal(t, want, k.export("/$export").names())
}

func checkPreferenceApplied(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for _, headers := range [][]string{
		{"Prefer: respond-async, separate-export-status"},
		{"Prefer: respond-async", "Prefer: separate-export-status"},
	} {
		a := k.get("/$export", headers...)
		k.accepted(a)
		applied := strings.Join(a.header.Values("Preference-Applied"), ", ")
		require.Contains(t, applied, "respond-async")
		require.Contains(t, applied, "separate-export-status")
	}
	require.NotContains(t, k.get("/$export", "Prefer: respond-async").header.Get("Preference-Applied"), "separate")
}

func checkPrefer(t *testing.T) {
	k := start(t, setup{http: httpadapter.Config{Strict: true}})
	for _, headers := range [][]string{
		{"Prefer: respond-async"}, {"Prefer: RESPOND-ASYNC;foo=bar , return=minimal"},
		{`Prefer: x="a, handling=strict"`, "Prefer: wait=10, respond-async"},
	} {
		k.kickOff("/$export", headers...)
		k.refused(k.get("/$export?nonsense=1", headers...), 400, "nonsense")
		k.kickOff("/$export?nonsense=1", append(headers, "Prefer: Handling = lenient")...)
	}
	k.refused(k.get("/$export?nonsense=1", "Prefer: respond-async, handling=strict"), 400, "nonsense")
	// What stands in quotes is none of the preferences.
	k.fails(k.get("/$export", `Prefer: x="respond-async, y"`), 400)
}

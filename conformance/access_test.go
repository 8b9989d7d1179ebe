package conformance_test

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

func accessChecks() []check {
	return []check{
		{
			title: "nothing is exported that the client may not have",
			ids:   ids("K-16", "A-06", "P-41"), run: checkNarrowed,
		},
		{
			title: "asking for more than that is 403 at kick-off",
			ids:   ids("P-113", "A-21", "T-38"), run: checkForbidden,
		},
		{
			title: "each request is authorized, by whatever scheme the host has",
			ids:   ids("A-05", "A-20", "S-21", "F-06"), run: checkEachRequest,
		},
		{
			title: "a token that covers less than the file is 403",
			ids:   ids("A-03", "F-06", "T-22", "R-16"), run: checkNarrowToken,
		},
		{
			title: "a token that covers less than the export is 403 for its deleted files",
			ids:   ids("A-03", "F-06"), run: checkNarrowDeleted,
		},
		{
			title: "a token that covers less than the export is 403 for its status",
			ids:   ids("A-03", "S-21"), run: checkNarrowStatus,
		},
		{
			title: "a new token of the same client goes on",
			ids:   ids("T-22"), run: checkNewToken,
		},
		{
			title: "where access is open, tokens are ignored, also empty ones",
			ids:   ids("R-13", "R-14"), run: checkTokensIgnored,
		},
		{
			title: "a wrong token is 401 with an OperationOutcome, also where none is needed",
			ids:   ids("R-15"), run: checkWrongToken,
		},
		{
			title: "the host's filter keeps back what individuals do not share",
			ids:   ids("A-07", "A-23"), run: checkConsent,
		},
		{
			title: "data of another tenant are never seen",
			ids:   ids("K-16", "A-06"), run: checkTenants,
		},
	}
}

// callers by their tokens.
func callers() map[string]bulkexport.Access {
	alice := bulkexport.Caller{Client: "alice"}
	return map[string]bulkexport.Access{
		"alice":        {Caller: alice},
		"bob":          {Caller: bulkexport.Caller{Client: "bob"}},
		"elsewhere":    {Caller: bulkexport.Caller{Tenant: "other", Client: "alice"}},
		"patients":     {Caller: alice, Types: []string{"Patient"}},
		"observations": {Caller: alice, Types: []string{"Observation"}},
		"group":        {Caller: alice, Types: []string{"Group", "Patient"}},
		"nothing":      {Caller: alice, Types: []string{}},
	}
}

// authorize is the authorization of a host.
func authorize(r *http.Request) (bulkexport.Access, error) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	access, ok := callers()[token]
	switch {
	case token == "suspended":
		return access, bulkexport.ErrForbidden
	case token == "trouble":
		return access, errors.New("the token service is down")
	case !ok:
		return access, httpadapter.ErrUnauthenticated
	}
	return access, nil
}

func bearer(token string) string { return "Authorization: Bearer " + token }

func checkNarrowed(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	for _, level := range []string{"", "/Patient"} {
		require.Equal(t, only(everything(), "Patient"), k.export(level+"/$export", bearer("patients")).names())
		require.Equal(t, only(everything(), "Observation"), k.export(level+"/$export", bearer("observations")).names())
	}
	k.remove("Patient/a", "Observation/a1")
	e := k.export("/$export?_since=2001-01-01T00:00:00Z", bearer("patients"))
	require.Equal(t, []string{"Patient/b", "Patient/c"}, e.names())
	for _, file := range e.deleted() {
		require.NotContains(t, e.files[file.URL][0], "Observation")
	}
}

func checkForbidden(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	for _, target := range []string{
		"/$export?_type=Observation", "/$export?_type=Patient,Observation", "/Group/ward/$export", "/$export?" + relevant,
	} {
		a := k.get(target, bearer("patients"))
		require.Equal(t, "forbidden", k.fails(a, http.StatusForbidden).Code)
	}
	k.fails(k.get("/$export", bearer("nothing")), http.StatusForbidden)
	k.fails(k.get("/$export?_type=Observation", bearer("patients"), "Prefer: handling=lenient"), http.StatusForbidden)
}

func checkEachRequest(t *testing.T) {
	var asked atomic.Int64
	k := start(t, setup{data: ward(), http: httpadapter.Config{
		Authorize: func(r *http.Request) (bulkexport.Access, error) {
			asked.Add(1)
			if r.Header.Get("X-Client-Cert") != "alice" {
				return bulkexport.Access{}, httpadapter.ErrUnauthenticated
			}
			return callers()["alice"], nil
		},
	}})
	e := k.export("/$export?_type=Patient", "X-Client-Cert: alice")
	require.EqualValues(t, 3, asked.Load(), "kick-off, status, file")
	for _, a := range []answer{
		k.get("/$export"), k.get(e.job), k.get((*e.Output)[0].URL), k.send("DELETE", e.job, ""),
	} {
		k.fails(a, http.StatusUnauthorized)
	}
	require.EqualValues(t, 7, asked.Load())
}

func checkNarrowToken(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	e := k.export("/$export?_type=Patient,Observation", bearer("alice"))
	for _, file := range *e.Output {
		a := k.get(file.URL, bearer("observations"))
		if *file.Type == "Observation" {
			require.Equal(t, http.StatusOK, a.status)
			continue
		}
		require.Equal(t, "forbidden", k.fails(a, http.StatusForbidden).Code)
	}
	blocks := k.export("/Patient/$export?_type=Patient,Observation&"+organized, bearer("alice"))
	k.fails(k.get((*blocks.Output)[0].URL, bearer("observations")), http.StatusForbidden)
}

func checkNarrowDeleted(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	at := k.clock.read()
	k.remove("Patient/a", "Observation/a1")
	e := k.export("/$export?_type=Patient,Observation&_since="+stamp(at), bearer("alice"))
	require.Len(t, e.deleted(), 1)
	k.fails(k.get(e.deleted()[0].URL, bearer("patients")), http.StatusForbidden)
}

func checkNarrowStatus(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	e := k.export("/$export?_type=Patient,Observation", bearer("alice"))
	k.fails(k.get(e.job, bearer("patients")), http.StatusForbidden)
}

// checkNewToken has two tokens of one client.
func checkNewToken(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	job := k.kickOff("/$export?_type=Patient", bearer("patients"))
	e := k.finish(job, bearer("alice"))
	require.Equal(t, only(everything(), "Patient"), e.names())
	require.Equal(t, http.StatusOK, k.get((*e.Output)[0].URL, bearer("patients")).status)
}

func checkTokensIgnored(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, header := range []string{"Authorization: Bearer ", "Authorization: Bearer mallory", "Authorization: Basic x"} {
		e := k.export("/$export?_type=Patient", header)
		require.Equal(t, only(everything(), "Patient"), e.names())
		require.Equal(t, http.StatusNoContent, k.send("DELETE", e.job, "", header).status)
	}
}

func checkWrongToken(t *testing.T) {
	k := start(t, setup{data: ward(), http: httpadapter.Config{
		Authorize: func(r *http.Request) (bulkexport.Access, error) {
			if r.Header.Get("Authorization") == "" {
				return bulkexport.Access{}, nil
			}
			return authorize(r)
		},
	}})
	job := k.kickOff("/$export")
	a := k.get("/$export", bearer("mallory"))
	require.Equal(t, "login", k.fails(a, http.StatusUnauthorized).Code)
	require.Contains(t, a.header.Get("WWW-Authenticate"), "Bearer")
	k.fails(k.get(job, bearer("mallory")), http.StatusUnauthorized)
}

func checkConsent(t *testing.T) {
	k := start(t, setup{data: ward(), core: bulkexport.Config{Filter: drop("Patient/b")}})
	e := k.export("/$export?_type=Observation")
	require.Equal(t, []string{"Observation/a1", "Observation/a2", "Observation/c1"}, e.names())
	require.EqualValues(t, 1, extension(e.Extension, "dropped"))
}

func checkTenants(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	_, err := k.source.Put("other", []byte(`{"resourceType":"Patient","id":"elsewhere"}`))
	require.NoError(t, err)
	require.Equal(t, []string{"Patient/elsewhere"}, k.export("/$export", bearer("elsewhere")).names())
	require.NotContains(t, k.export("/$export", bearer("alice")).names(), "Patient/elsewhere")
	k.fails(k.get("/Group/ward/$export", bearer("elsewhere")), http.StatusNotFound)
}

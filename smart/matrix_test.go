package smart_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
)

// How large the matrix is at least: owners by scope sets, one without a tenant and
// those whose tokens are not valid; exports of each owner, and one that never was.
const (
	leastBearers   = 3*15 + 1 + 7
	leastExports   = 3*8 + 1
	leastEndpoints = 5 + 6 + 3 + 5 + 1
	leastKickOffs  = 9 + 3*3
)

// TestMatrixOfJobs has every token ask everything of every export.
func TestMatrixOfJobs(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, httpadapter.SignedURLs{})
	m.begin()
	var checked atomic.Int64
	t.Run("bearers", func(t *testing.T) {
		for _, b := range bearers() {
			t.Run(b.String(), func(t *testing.T) {
				t.Parallel()
				checked.Add(m.askAll(t, b))
			})
		}
	})
	t.Logf("%d combinations of bearer, export and endpoint, %d requests", checked.Load(), m.asked.Load())
	require.GreaterOrEqual(t, checked.Load(), int64(leastBearers*leastExports*leastEndpoints))
}

// askAll has a bearer ask everything of every export.
func (m *matrix) askAll(t *testing.T, b bearer) (checked int64) {
	t.Helper()
	never := map[[2]string]string{} // what is said of an export that there is not
	for _, e := range append([]export{{id: none, state: bulkexport.JobDeleted}}, m.exports...) {
		denied := "" // what is said of a file that this bearer may not have
		for _, endpoint := range jobEndpoints() {
			res := m.ask(t, b, e, endpoint)
			checked++
			switch {
			case e.id == none:
				never[endpoint] = res.alike()
			case !e.sees(b):
				require.Equal(t, never[endpoint], res.alike(), "%s of %s, %s", endpoint, e.name, e.owner)
			case res.status == http.StatusForbidden && strings.HasSuffix(endpoint[1], ".ndjson") &&
				endpoint[0] == http.MethodGet:
				if denied == "" {
					denied = res.alike()
				}
				require.Equal(t, denied, res.alike(), "%s of %s", endpoint, e.name)
			}
		}
	}
	return checked
}

// ask has a bearer ask one thing of an export, and compares the reply with the model.
func (m *matrix) ask(t *testing.T, b bearer, e export, endpoint [2]string) reply {
	t.Helper()
	method, rest := endpoint[0], endpoint[1]
	want := e.answerTo(b, method, rest)
	deletes := want == http.StatusNoContent
	if deletes { // another one of its kind, which is not needed any more
		e.id = m.kickOff(e.path, bearerOf(e.owner, scopeSet{scope: e.scope}))
	}
	req := request{method: method, path: "/bulk-export/" + e.id + rest, token: b.token}
	res := m.do(req)
	require.Equal(t, want, res.status, "%s: %s %s of %s, %s: %s", b, method, rest, e.name, e.owner, res.body)
	known := []string{}
	if !res.refused() {
		if known = e.tenantTypes(); strings.HasPrefix(rest, "/") {
			known = append(known, "Patient") // which others refer to
		}
		e.hasOwn(t, req, rest, res)
	}
	m.leaksNothing(t, b, req, res, e.id, known)
	if !b.valid {
		require.Empty(t, res.calls, "nothing is looked up for a token that is not valid")
	}
	if deletes {
		gone := func(id string) string {
			return m.do(request{method: http.MethodGet, path: "/bulk-export/" + id, token: b.token}).alike()
		}
		require.Equal(t, gone(none), gone(e.id))
	}
	return res
}

// TestMatrixOfKickOffs has every token ask for every export.
func TestMatrixOfKickOffs(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, httpadapter.SignedURLs{})
	m.begin()
	checked := 0
	for _, b := range bearers() {
		never := map[string]string{} // what is said of a Group or patient that there is not
		for _, ask := range kickOffAsks() {
			res := m.askFor(t, b, ask)
			checked++
			if whose := ask.whose(); whose != "" && whose != b.caller.Tenant {
				general := strings.ReplaceAll(ask.path, whose, "never") + strings.ReplaceAll(ask.body, whose, "never")
				said := strings.ReplaceAll(res.alike(), whose, "never")
				if whose == "never" {
					never[general] = said
				}
				require.NotEmpty(t, never[general])
				require.Equal(t, never[general], said, "%s: %s", b, ask.path)
			}
		}
	}
	t.Logf("%d combinations of bearer and kick-off", checked)
	require.GreaterOrEqual(t, checked, leastBearers*leastKickOffs)
}

func (m *matrix) askFor(t *testing.T, b bearer, ask kickOffAsk) reply {
	t.Helper()
	want, types := ask.answerTo(b)
	req := request{method: ask.method, path: ask.path, body: ask.body, token: b.token}
	res := m.do(req)
	require.Equal(t, want, res.status, "%s: %s %s: %s", b, ask.path, ask.body, res.body)
	own := ""
	switch res.status {
	case http.StatusAccepted:
		own = res.job()
		job, err := m.store.Job(t.Context(), own)
		require.NoError(t, err)
		require.Equal(t, b.caller, bulkexport.Caller{Tenant: job.Tenant, Client: job.Client})
		require.Equal(t, types, job.Request.Types, "%s: %s", b, ask.path)
		require.Empty(t, res.body)
	case http.StatusUnauthorized, http.StatusForbidden:
		require.Empty(t, res.calls, "it is refused before anything is looked up")
	}
	m.leaksNothing(t, b, req, res, own, nil)
	return res
}

// TestMatrixOfCompletedExports has every token that may export do so, and compares
// every byte.
func TestMatrixOfCompletedExports(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, httpadapter.SignedURLs{})
	exports, files := 0, 0
	for _, owner := range owners {
		for _, set := range scopeSets {
			if set.types != nil && len(set.types) == 0 {
				continue
			}
			e := export{owner: owner, types: set.types, state: bulkexport.JobCompleted, scope: set.scope}
			for _, path := range []string{"/fhir/$export", "/fhir/Group/group-" + owner.Tenant + "/$export"} {
				e.path = path
				if e.member = strings.Contains(path, "Group"); e.member && !bearerOf(owner, set).may("Group") {
					continue
				}
				files += m.exportsOwn(t, e, set)
				exports++
			}
		}
	}
	t.Logf("%d exports with %d files", exports, files)
	require.GreaterOrEqual(t, exports, 3*(8+4))
	require.Greater(t, files, exports)
}

// exportsOwn compares all files of an export with the model, and returns how many there are.
func (m *matrix) exportsOwn(t *testing.T, e export, set scopeSet) (files int) {
	t.Helper()
	m.start(&e)
	b := bearerOf(e.owner, set)
	m.ask(t, b, e, [2]string{http.MethodGet, ""})
	for _, name := range fileNames() {
		if res := m.ask(t, b, e, [2]string{http.MethodGet, "/" + name}); res.status == http.StatusOK {
			files++
		}
	}
	return files
}

// TestPublicPagesAreTheSameForAll: what needs no token says nothing of anybody.
func TestPublicPagesAreTheSameForAll(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, httpadapter.SignedURLs{})
	for _, path := range []string{
		"/fhir/metadata", "/fhir" + smart.ConfigurationPath, "/fhir/OperationDefinition/export",
		"/fhir/OperationDefinition/patient-export", "/fhir/OperationDefinition/group-export",
	} {
		first := m.do(request{method: http.MethodGet, path: path})
		require.Equal(t, http.StatusOK, first.status, path)
		require.Empty(t, first.calls)
		for _, word := range []string{"canary", "north", "south", "alice", "bob"} {
			require.False(t, strings.Contains(first.header+first.body, word), "%s: %s", path, word)
		}
		for _, b := range bearers() {
			require.Equal(t, first.alike(), m.do(request{method: http.MethodGet, path: path, token: b.token}).alike())
		}
	}
}

package httpadapter_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

// serve puts a request to a handler without the wire in between, which would
// refuse some of them.
func serve(h http.Handler, r *http.Request, token string) *httptest.ResponseRecorder {
	r.Header = http.Header{"Authorization": {"Bearer " + token}}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// FuzzKickOffQuery sends any query string: it is accepted, or refused with an
// OperationOutcome of bounded size.
func FuzzKickOffQuery(f *testing.F) {
	for _, topic := range badRequests {
		for _, test := range topic {
			if u, err := url.Parse(test.target); err == nil {
				f.Add(u.RawQuery)
			}
		}
	}
	k := newKit(f, setup{http: httpadapter.Config{Authorize: authorize}})
	f.Fuzz(func(t *testing.T, query string) {
		target := &url.URL{Path: "/fhir/Patient/$export", RawQuery: query}
		w := serve(k.handler, (&http.Request{Method: http.MethodGet, URL: target}).WithContext(t.Context()), "alice")
		if w.Code == http.StatusAccepted {
			jobs, err := k.store.Jobs(t.Context(), bulkexport.JobFilter{})
			require.NoError(t, err)
			require.Len(t, jobs, 1)
			require.Equal(t, k.base+"/bulk-export/"+jobs[0].ID, w.Header().Get("Content-Location"))
			require.NoError(t, k.store.DeleteJob(t.Context(), jobs[0].ID))
			return
		}
		if len(query) <= 256<<10 {
			require.Equal(t, http.StatusBadRequest, w.Code)
		}
		require.Less(t, w.Body.Len(), 50_000)
		outcomeOf(t, w.Body.Bytes())
	})
}

// FuzzPrefer sends any Prefer headers: none makes a kick-off fail, and what is
// said to be applied is what was asked for.
func FuzzPrefer(f *testing.F) {
	for _, test := range preferTests {
		f.Add(test.header, "")
		f.Add("handling=strict", test.header)
	}
	k := newKit(f, setup{})
	f.Fuzz(func(t *testing.T, first, second string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/fhir/$export", nil)
		r.Header["Prefer"] = []string{first, second}
		w := httptest.NewRecorder()
		k.handler.ServeHTTP(w, r)
		require.Equal(t, http.StatusAccepted, w.Code)
		jobs, err := k.store.Jobs(t.Context(), bulkexport.JobFilter{})
		require.NoError(t, err)
		require.Len(t, jobs, 1)
		require.NoError(t, k.store.DeleteJob(t.Context(), jobs[0].ID))
		applied, req := w.Header().Get("Preference-Applied"), jobs[0].Request
		asked := strings.ToLower(first + second)
		for preference, is := range map[string]bool{
			"handling=lenient": req.Lenient, "separate-export-status": req.SeparateStatus,
		} {
			require.Equal(t, is, strings.Contains(applied, preference))
			name, _, _ := strings.Cut(preference, "=")
			require.False(t, is && !strings.Contains(asked, name))
		}
	})
}

// FuzzPath asks for any path as the owner of a job and as somebody else: only
// the one path of its file has it, and only for its owner.
func FuzzPath(f *testing.F) {
	for _, topic := range badRequests {
		for _, test := range topic {
			f.Add(test.target)
		}
	}
	f.Add(file)
	f.Add(status)
	k := newKit(f, setup{http: httpadapter.Config{Authorize: authorize}})
	k.addFile(callers["alice"].Caller, lines)
	f.Fuzz(func(t *testing.T, path string) {
		target, err := url.ParseRequestURI(path)
		open := []string{"/fhir/$export", "/fhir/Patient/$export", "/fhir/metadata"}
		if err != nil || slices.Contains(open, target.Path) || strings.HasPrefix(target.Path, "/fhir/OperationDefinition/") {
			return
		}
		target.RawQuery = ""
		for _, token := range []string{"alice", "bob"} {
			r := (&http.Request{Method: http.MethodGet, URL: target}).WithContext(t.Context())
			w := serve(k.handler, r, token)
			mine := token == "alice" && (target.Path == file || target.Path == status)
			if mine && w.Code == http.StatusOK {
				continue
			}
			require.Equal(t, http.StatusNotFound, w.Code)
			outcomeOf(t, w.Body.Bytes())
		}
	})
}

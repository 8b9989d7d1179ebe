package smart_test

import (
	"encoding/json"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var digit = regexp.MustCompile(`\d`)

// leaksNothing looks in a whole reply for what the bearer may not know: anything of
// other tenants, other exports, and types but the known ones and those that the
// request itself names. A refusal has no number either.
func (m *matrix) leaksNothing(t *testing.T, b bearer, req request, res reply, own string, known []string) {
	t.Helper()
	asked, all := req.path+req.body, res.header+res.body
	for _, word := range m.secrets(b, res, own, known) {
		if strings.Contains(all, word) && (word == own || !strings.Contains(asked, word)) {
			require.Fail(t, "leak", "%s: %s %s: %q in\n%s", b, req.method, req.path, word, all)
		}
	}
	if res.refused() {
		counts := strings.ReplaceAll(res.body, "-patient-1", "") // that was asked for
		require.False(t, digit.MatchString(counts), "%s: %s %s: number in\n%s", b, req.method, req.path, all)
	}
}

// secrets are what must not be in a reply unless it was in the request, but for the id
// of the export, which a refusal does not repeat.
func (m *matrix) secrets(b bearer, res reply, own string, known []string) []string {
	words := slices.Clone(m.ids)
	if res.refused() {
		words = append(words, ".ndjson\"", "X-Progress:", "Retry-After:", "Etag:", "Content-Location:", "Expires:")
	} else {
		words = slices.DeleteFunc(words, func(id string) bool { return id == own })
	}
	for tenant := range population {
		if res.refused() || tenant != b.caller.Tenant {
			words = append(words, "canary-"+tenant, "group-"+tenant)
		}
	}
	for _, name := range dataTypes {
		if !slices.Contains(known, name) {
			words = append(words, name)
		}
	}
	return words
}

// refused reports whether a reply is none for whoever may have what was asked for: the
// reason why an export has failed is.
func (r reply) refused() bool {
	return r.status >= http.StatusBadRequest && r.status != http.StatusInternalServerError
}

type manifest struct {
	RequiresAccessToken    bool
	Output, Deleted, Error []struct {
		Type, URL string
		Count     int
	}
	Link []struct{ URL string }
}

func readManifest(t *testing.T, body string) (m manifest) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(body), &m), "%s", body)
	return m
}

// hasOwn looks in a reply for exactly what is the bearer's.
func (e export) hasOwn(t *testing.T, req request, rest string, res reply) {
	t.Helper()
	name, file := strings.CutPrefix(rest, "/")
	switch {
	case req.method == http.MethodHead, res.status != http.StatusOK:
	case !file:
		e.hasManifest(t, readManifest(t, res.body))
	case name == "errors.ndjson":
		require.Contains(t, res.body, "_typo")
		require.Equal(t, 1, strings.Count(res.body, "\n"))
	case name == "deleted.ndjson":
		require.Contains(t, res.body, "Patient/canary-"+e.owner.Tenant+"-patient-100")
		require.Equal(t, 1, strings.Count(res.body, "DELETE"))
	default:
		require.Equal(t, strings.Join(e.files()[name], "\n")+"\n", res.body)
	}
}

func (e export) hasManifest(t *testing.T, is manifest) {
	t.Helper()
	files := e.files()
	for _, entry := range is.Output {
		name := path.Base(entry.URL)
		require.NotEmpty(t, files[name], name)
		require.Len(t, files[name], entry.Count, name)
		require.Contains(t, name, entry.Type)
	}
	extra := []string{}
	for _, entry := range slices.Concat(is.Deleted, is.Error) {
		extra = append(extra, path.Base(entry.URL))
	}
	require.ElementsMatch(t, e.extra, extra)
	if !e.paged {
		require.Len(t, is.Output, len(files))
	}
}

// tenantTypes are the types that an export can show: not those that only the other
// tenant has.
func (e export) tenantTypes() []string {
	return slices.DeleteFunc(slices.Clone(e.exported()), func(name string) bool {
		return population[e.owner.Tenant][name] == 0
	})
}

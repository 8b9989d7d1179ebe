package smart_test

import (
	"bytes"
	"net/http"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

// signedFile is a signed URL of a file.
type signedFile struct {
	export
	rest, query string // "/Patient.ndjson" and "expires=..."
}

// TestMatrixOfSignedURLs: a signed URL is for one file, for everybody who has it, and
// only those get it who may have the file.
func TestMatrixOfSignedURLs(t *testing.T) {
	t.Parallel()
	m := newMatrix(t, httpadapter.SignedURLs{Keys: [][]byte{bytes.Repeat([]byte("k"), 32)}})
	m.begin()
	files := m.signedFiles(t)
	require.GreaterOrEqual(t, len(files), 3*(5+2+2+3), "each export has some, a page of two among them")

	checked := 0
	for _, f := range files {
		for _, other := range files {
			want := http.StatusUnauthorized
			if f.id == other.id && f.rest == other.rest {
				want = http.StatusOK
			}
			req := request{method: http.MethodGet, path: "/bulk-export/" + other.id + other.rest + "?" + f.query}
			res := m.do(req)
			require.Equal(t, want, res.status, "%s of %s with what is for %s of %s", other.rest, other.id, f.rest, f.id)
			known := []string{}
			if want == http.StatusOK {
				known = append(f.tenantTypes(), "Patient")
				f.hasOwn(t, req, f.rest, res)
			} else {
				require.Empty(t, res.calls)
			}
			m.leaksNothing(t, bearer{caller: f.owner}, req, res, f.id, known)
			checked++
		}
		m.refusesOtherUses(t, f)
	}
	t.Logf("%d combinations of file and signature of %d files", checked, len(files))
	m.endWithTheirExports(t, files)
}

// signedFiles asks for all manifests with all tokens, and returns the files.
func (m *matrix) signedFiles(t *testing.T) (files []signedFile) {
	t.Helper()
	for _, e := range m.exports {
		for _, b := range bearers() {
			res := m.do(request{method: http.MethodGet, path: "/bulk-export/" + e.id, token: b.token})
			want := e.answerTo(b, http.MethodGet, "")
			require.Equal(t, want, res.status, "%s: %s of %s", b, e.name, e.owner)
			require.Equal(t, want == http.StatusOK, strings.Contains(res.body, "signature="), "%s: %s", b, e.name)
			if want != http.StatusOK || b.scope != scopeSets[0].scope {
				continue
			}
			is := readManifest(t, res.body)
			require.False(t, is.RequiresAccessToken)
			for _, entry := range slices.Concat(is.Output, is.Deleted, is.Error) {
				location, query, _ := strings.Cut(entry.URL, "?")
				files = append(files, signedFile{e, "/" + path.Base(location), query})
			}
		}
	}
	return files
}

// refusesOtherUses has a signature that was changed, or is no permission for what is
// asked.
func (m *matrix) refusesOtherUses(t *testing.T, f signedFile) {
	t.Helper()
	job := "/bulk-export/" + f.id
	for _, req := range []request{
		{method: http.MethodGet, path: job + "?" + f.query},
		{method: http.MethodDelete, path: job + "?" + f.query},
		{method: http.MethodGet, path: job + f.rest},
		{method: http.MethodGet, path: job + f.rest + "?" + strings.Replace(f.query, "expires=", "expires=9", 1)},
		{method: http.MethodGet, path: job + f.rest + "?" + f.query + "&x=1"},
	} {
		require.Equal(t, http.StatusUnauthorized, m.do(req).status, "%s %s", req.method, req.path)
	}
	// A token counts as it would without: that of somebody else is for nothing here.
	for _, owner := range owners {
		b := bearerOf(owner, scopeSets[0])
		res := m.do(request{method: http.MethodGet, path: job + f.rest + "?" + f.query + "&x=1", token: b.token})
		require.Equal(t, f.answerTo(b, http.MethodGet, f.rest), res.status)
	}
}

// endWithTheirExports deletes all exports: their URLs are as those of none then.
func (m *matrix) endWithTheirExports(t *testing.T, files []signedFile) {
	t.Helper()
	for _, e := range m.exports {
		if e.state != bulkexport.JobDeleted {
			b := bearerOf(e.owner, scopeSets[0])
			res := m.do(request{method: http.MethodDelete, path: "/bulk-export/" + e.id, token: b.token})
			require.Equal(t, http.StatusNoContent, res.status)
		}
	}
	for _, f := range files {
		res := m.do(request{method: http.MethodGet, path: "/bulk-export/" + f.id + f.rest + "?" + f.query})
		require.Equal(t, http.StatusNotFound, res.status)
	}
}

package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// realData is a folder beside a checkout that the project's own machines have.
const realData = "../../../shared/data/synthea-10"

func TestGeneratedRecordsComeBack(t *testing.T) {
	t.Parallel()
	printed := replay(t, dataset.Source{Patients: 20})
	for _, want := range []string{
		"curl -i 'http://127.0.0.1:", "/fhir/$export'", "202 Accepted", "Content-Location: http://127.0.0.1:",
		"curl -r 0-", "curl -C - -o", "curl -i -X DELETE", "204 No Content", "404 Not Found",
		"byte for byte", "SHA-256 (first 16 digits)",
	} {
		require.Contains(t, printed, want)
	}
	require.NotContains(t, printed, "\r", "a progress bar where there is no terminal")
}

func TestRealRecordsComeBack(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(realData); err != nil {
		t.Skipf("no real data in %s; go run ./examples/quickstart -data DIR takes any", realData)
	}
	require.Contains(t, replay(t, dataset.Source{Dir: realData}), "byte for byte")
}

// replay runs everything, compares what is left in the folder with the data, and
// returns what was printed.
func replay(t *testing.T, data dataset.Source) string {
	t.Helper()
	var printed bytes.Buffer
	out := filepath.Join(t.TempDir(), "export")
	require.NoError(t, run(t.Context(), options{data: data, dir: out, out: printer{&printed}}))

	loaded, exported := &dataset.Digest{}, &dataset.Digest{}
	require.NoError(t, data.Each(digestInto(loaded)))
	require.NoError(t, dataset.Source{Dir: out}.Each(digestInto(exported)))
	want, err := loaded.Types()
	require.NoError(t, err)
	got, err := exported.Types()
	require.NoError(t, err)
	require.Equal(t, want, got)
	return printed.String()
}

func digestInto(d *dataset.Digest) func(io.Reader) error {
	return func(r io.Reader) error {
		_, err := io.Copy(d, r)
		return err
	}
}

func TestFoldersOfOthersAreNotEmptied(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept")
	require.NoError(t, os.WriteFile(kept, nil, 0o600))
	err := run(t.Context(), options{data: dataset.Source{Patients: 1}, dir: dir, out: printer{io.Discard}})
	require.ErrorContains(t, err, "is not empty")
	require.FileExists(t, kept)
}

func TestDataThatIsNoneIsAnError(t *testing.T) {
	t.Parallel()
	for _, content := range []string{"not JSON", `{"resourceType":"Patient"}`} {
		dir, out := t.TempDir(), filepath.Join(t.TempDir(), "export")
		require.NoError(t, os.WriteFile(filepath.Join(dir, "a.ndjson"), []byte(content), 0o600))
		err := run(t.Context(), options{data: dataset.Source{Dir: dir}, dir: out, out: printer{io.Discard}})
		require.ErrorContains(t, err, "a.ndjson")
		require.NotContains(t, err.Error(), "not JSON", "content in an error")
	}
}

const ada = `{"resourceType":"Patient","id":"ada"}` + "\n"

// A server that says one thing and sends another must not pass.
func TestDownloadChecksTheETag(t *testing.T) {
	t.Parallel()
	for _, twoPieces := range []bool{false, true} {
		c, url := fakeServer(t, `"0123"`)
		_, err := c.download(t.Context(), manifestFile{Type: "Patient", URL: url, Count: 1}, twoPieces)
		require.ErrorContains(t, err, "ETag")
	}
}

func TestDownloadResumesOnlyTheSameFile(t *testing.T) {
	t.Parallel()
	c, url := fakeServer(t, "")
	_, err := c.download(t.Context(), manifestFile{Type: "Patient", URL: url, Count: 1}, true)
	require.ErrorContains(t, err, "unexpected status 200")
}

// fakeServer serves one patient with an ETag; if that is empty, with another one
// each time.
func fakeServer(t *testing.T, etag string) (*client, string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if etag == "" {
			w.Header().Set("ETag", `"`+r.Header.Get("Range")+`"`)
		} else {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(ada))
	}))
	t.Cleanup(server.Close)
	return newClient(options{out: printer{io.Discard}, dir: t.TempDir()}), server.URL + "/Patient.ndjson"
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	c := newClient(options{out: printer{io.Discard}})
	patient := dataset.Fingerprint{Lines: 1, Bytes: 10, Sum: [4]uint64{1}}
	loaded := map[string]dataset.Fingerprint{"Patient": patient}
	good := file{manifestFile: manifestFile{Type: "Patient", Count: 1}, content: loaded}
	require.NoError(t, c.check([]file{good}, loaded))

	count, other, mixed := good, good, good
	count.Count = 2
	other.content = map[string]dataset.Fingerprint{"Patient": {Lines: 1, Bytes: 10, Sum: [4]uint64{2}}}
	mixed.content = map[string]dataset.Fingerprint{"Patient": patient, "Group": {Lines: 1}}
	for fault, files := range map[string][]file{
		"the manifest says 2":                {count},
		"Patient: the 1 lines exported are ": {other},
		"Group: the 1 lines":                 {mixed},
		"Patient: the 2 lines":               {good, good},
		"Patient: the 0 lines":               {},
	} {
		require.ErrorContains(t, c.check(files, loaded), fault)
	}
}

func TestBarIsForTerminals(t *testing.T) {
	t.Parallel()
	for _, terminal := range []bool{true, false} {
		var drawn bytes.Buffer
		b := bar{out: printer{&drawn}, terminal: terminal}
		b.draw(0.5, "half")
		b.end()
		require.Equal(t, terminal, strings.Contains(drawn.String(), "###"), drawn.String())
	}
}

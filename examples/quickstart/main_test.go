package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// realData is a folder beside a checkout that the project's own machines have.
const realData = "../../../shared/data/synthea-10"

func TestGeneratedRecordsComeBack(t *testing.T) {
	t.Parallel()
	printed := replay(t, dataset.Source{Patients: 20})
	for _, want := range []string{
		"curl -i -H 'Accept: application/fhir+json' -H 'Prefer: respond-async' 'http://127.0.0.1:", "/fhir/$export'",
		"202 Accepted", "Content-Location: http://127.0.0.1:",
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

// The check must find what is wrong with files of our own server.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	const bob = `{"resourceType":"Patient","id":"bob"}` + "\n"
	loaded := fingerprints(t, ada)
	require.NoError(t, checkFiles(t, loaded, ada, nil))
	for fault, content := range map[string]string{
		"2 lines, but the manifest says 1":             ada + bob,
		"Patient: the 1 lines exported are ":           bob,
		"Patient: the 0 lines exported are ":           "",
		"1 lines of type Group, but the manifest says": `{"resourceType":"Group"}` + "\n",
		"Group: the 1 lines exported are ":             ada + `{"resourceType":"Group"}` + "\n",
	} {
		require.ErrorContains(t, checkFiles(t, loaded, content, nil), fault)
	}
	for fault, spoil := range map[string]func(*file){
		"its ETag is not its SHA-256":     func(f *file) { f.verified = false },
		"the manifest has it under error": func(f *file) { f.list = failed },
	} {
		require.ErrorContains(t, checkFiles(t, loaded, ada, spoil), fault)
	}
	require.ErrorContains(t, checkFiles(t, fingerprints(t, ada+bob), ada, nil), "are not the 2 lines loaded")
}

// checkFiles checks one file that should have one Patient in it.
func checkFiles(t *testing.T, loaded content, text string, spoil func(*file)) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "Patient.ndjson")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	one := int64(1)
	f := file{path: path, verified: true, entry: entry{list: output, resourceType: "Patient", count: &one}}
	if spoil != nil {
		spoil(&f)
	}
	return newClient(options{out: printer{io.Discard}}, nil, nil).check([]file{f}, loaded)
}

func fingerprints(t *testing.T, ndjson string) content {
	t.Helper()
	var digest dataset.Digest
	_, err := io.WriteString(&digest, ndjson)
	require.NoError(t, err)
	types, err := digest.Types()
	require.NoError(t, err)
	return types
}

func TestBarIsForTerminals(t *testing.T) {
	t.Parallel()
	draw := func(terminal bool, fraction float64) string {
		var drawn bytes.Buffer
		b := bar{out: printer{&drawn}, terminal: terminal}
		b.draw(fraction, "some text")
		b.end()
		return drawn.String()
	}
	require.Empty(t, draw(false, 0.5))
	require.Contains(t, draw(true, 0.5), "[###############...............] some text")
	require.Contains(t, draw(true, 1.5), "[##############################] some text", "too much to be true")
	require.NotContains(t, draw(true, -1), "[#")
	require.Contains(t, draw(true, -1), "some text")
}

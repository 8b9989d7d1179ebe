package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
	"github.com/bulkexport/bulkexport/internal/pgserver"
	"github.com/bulkexport/bulkexport/internal/s3server"
)

func TestExportOutlivesItsNode(t *testing.T) {
	t.Parallel()
	var printed bytes.Buffer
	dir := filepath.Join(t.TempDir(), "files")
	err := run(t.Context(), options{nodes: 3, patients: 40, dir: dir, out: printer{&printed}})
	absent := errors.Is(err, pgserver.ErrNotInstalled) || errors.Is(err, s3server.ErrNotInstalled)
	if absent && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err, printed.String())
	for _, want := range []string{
		"1. Kick off on A\n", "2. Poll B\n", "3. Kill A in mid-export\n", "   $ kill -9 ", "4. Download from C\n",
		"each id exactly once", "byte for byte", "   C: 404 Not Found\n", "The bucket is empty after ",
	} {
		require.Contains(t, printed.String(), want)
	}
	require.Regexp(t, `It leaves [12] parts`, printed.String())
	require.Regexp(t, `Part \d+: [BC] went on with it \d+\.\d s after the kill\.`, printed.String())

	var kept dataset.Digest
	require.NoError(t, dataset.Source{Dir: dir}.Each(digestInto(&kept)))
	types, err := kept.Types()
	require.NoError(t, err)
	require.Equal(t, made(t, 40), types)
}

func made(t *testing.T, patients int) map[string]dataset.Fingerprint {
	t.Helper()
	var digest dataset.Digest
	require.NoError(t, dataset.Source{Patients: patients}.Each(digestInto(&digest)))
	types, err := digest.Types()
	require.NoError(t, err)
	return types
}

// The check must find what is wrong.
func TestInventoryFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	loaded := made(t, 1)
	lines := func() (all []string) {
		require.NoError(t, dataset.Source{Patients: 1}.Each(func(r io.Reader) error {
			text, err := io.ReadAll(r)
			all = strings.Split(strings.TrimSpace(string(text)), "\n")
			return err
		}))
		return all
	}()
	require.NoError(t, take(lines).check(loaded))
	require.ErrorContains(t, take(lines[1:]).check(loaded), "lines exported are not the")
	require.ErrorContains(t, take(append(lines, lines[0])).check(loaded), "a resource is there 2 times")
	require.ErrorContains(t, take(append(lines, `{"resourceType":"Device","id":"1"}`)).check(loaded), "nobody loaded")
	require.Error(t, take([]string{"{"}).check(loaded))
}

func take(lines []string) *inventory {
	found := newInventory()
	for _, line := range lines {
		found.add([]byte(line))
	}
	return found
}

func TestFlagsAreChecked(t *testing.T) {
	t.Parallel()
	require.Error(t, run(t.Context(), options{nodes: 2, patients: 1, out: printer{io.Discard}}))
	require.Error(t, run(t.Context(), options{nodes: 3, out: printer{io.Discard}}))
}

package dataset_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

const (
	ada  = `{"resourceType":"Patient","id":"ada","multipleBirthInteger":1.0}`
	bob  = `{"resourceType":"Patient","id":"bob"}`
	call = `{"resourceType":"Encounter","id":"call"}`
)

func TestFolderIsReadFileByFilePlainOrCompressed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var compressed bytes.Buffer
	z := gzip.NewWriter(&compressed)
	_, err := z.Write([]byte(call))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	write(t, dir, "b.ndjson", ada+"\n"+bob)
	write(t, dir, "a.ndjson.gz", compressed.String())
	write(t, dir, "README.md", "not data")

	var streams []string
	require.NoError(t, dataset.Source{Dir: dir}.Each(func(r io.Reader) error {
		text, err := io.ReadAll(r)
		streams = append(streams, string(text))
		return err
	}))
	require.Equal(t, []string{call, ada + "\n" + bob}, streams)
}

func TestFolderWithoutDataIsAnError(t *testing.T) {
	t.Parallel()
	unused := func(io.Reader) error { return errors.New("called") }
	require.ErrorContains(t, dataset.Source{Dir: t.TempDir()}.Each(unused), "has no *.ndjson")
	absent := filepath.Join(t.TempDir(), "absent")
	require.ErrorIs(t, dataset.Source{Dir: absent}.Each(unused), os.ErrNotExist)

	dir := t.TempDir()
	write(t, dir, "a.ndjson.gz", "not compressed")
	require.ErrorIs(t, dataset.Source{Dir: dir}.Each(unused), gzip.ErrHeader)
}

func TestGeneratingEndsWithTheReader(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	err := dataset.Source{Patients: 1_000_000_000}.Each(func(r io.Reader) error {
		_, err := io.CopyN(io.Discard, r, 1<<20)
		return errors.Join(err, enough)
	})
	require.ErrorIs(t, err, enough)
}

func TestDigestSeesSetsOfLines(t *testing.T) {
	t.Parallel()
	want := digest(t, ada+"\n"+bob+"\n"+call+"\n")
	require.Equal(t, int64(2), want["Patient"].Lines)
	require.Equal(t, int64(len(ada)+len(bob)), want["Patient"].Bytes)
	require.Equal(t, int64(1), want["Encounter"].Lines)

	for name, same := range map[string]string{
		"other order":       call + "\n" + bob + "\n" + ada + "\n",
		"no last line feed": ada + "\n" + bob + "\n" + call,
		"blank lines":       ada + "\n\n" + bob + "\r\n" + call + "\n",
	} {
		require.Equal(t, want, digest(t, same), name)
	}
	for name, other := range map[string]string{
		"one byte differs": `{"resourceType":"Patient","id":"ada","multipleBirthInteger":1.1}` + "\n" + bob + "\n" + call,
		"a line is absent": ada + "\n" + call,
		"a line is twice":  ada + "\n" + ada + "\n" + bob + "\n" + call,
	} {
		require.NotEqual(t, want, digest(t, other), name)
	}
}

func TestDigestRefusesWhatIsNoResource(t *testing.T) {
	t.Parallel()
	_, err := new(dataset.Digest).Write([]byte("[]\n"))
	require.Error(t, err)
}

func digest(t *testing.T, ndjson string) map[string]dataset.Fingerprint {
	t.Helper()
	var d dataset.Digest
	_, err := io.Copy(&d, iotest.OneByteReader(bytes.NewBufferString(ndjson)))
	require.NoError(t, err)
	types, err := d.Types()
	require.NoError(t, err)
	return types
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
}

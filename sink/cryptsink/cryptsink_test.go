package cryptsink_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/sink/sinktest"
)

const (
	job      = "6qz4k2w7xj5n3c1v8b9m0asdfg"
	otherJob = "6qz4k2w7xj5n3c1v8b9m0asdfh"
	name     = "Patient-0-1-1.output.ndjson"
	other    = "Patient-0-1-2.output.ndjson"
)

// The sizes of the stored form.
const (
	chunk  = 64 << 10
	sealed = chunk + 16
	header = 204
)

func TestSinkInMemory(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{Open: func(t *testing.T) bulkexport.OutputSink {
		t.Helper()
		return cryptsink.New(memsink.New(), cryptsink.NewMemoryKeys())
	}})
}

func TestSinkOnFiles(t *testing.T) {
	t.Parallel()
	var dir string
	sinktest.Run(t, sinktest.Harness{
		Open: func(t *testing.T) bulkexport.OutputSink {
			t.Helper()
			dir = t.TempDir()
			return openFolders(t, dir)
		},
		Reopen: func(t *testing.T, _ bulkexport.OutputSink) bulkexport.OutputSink {
			t.Helper()
			return openFolders(t, dir)
		},
	})
}

// TestSharedFolders has one process write what another reads and deletes.
func TestSharedFolders(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{Open: func(t *testing.T) bulkexport.OutputSink {
		t.Helper()
		dir := t.TempDir()
		return twoSinks{both: openFolders(t, dir).(both), writing: openFolders(t, dir)}
	}})
}

type twoSinks struct {
	both
	writing bulkexport.OutputSink
}

type both interface {
	bulkexport.OutputSink
	bulkexport.SinkInventory
}

func (s twoSinks) Create(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
	return s.writing.Create(ctx, job, name)
}

// openFolders returns a sink on the folders files and keys in dir.
func openFolders(t *testing.T, dir string) bulkexport.OutputSink {
	t.Helper()
	files, err := filesink.New(filepath.Join(dir, "files"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, files.Close()) })
	return cryptsink.New(files, openKeys(t, filepath.Join(dir, "keys")))
}

func openKeys(t *testing.T, dir string) *cryptsink.KeyFolder {
	t.Helper()
	keys, err := cryptsink.NewKeyFolder(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keys.Close()) })
	return keys
}

// data returns n bytes that look like no other data with another seed.
func data(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p) // never fails
	return p
}

func put(t testing.TB, sink bulkexport.OutputSink, job, name string, content []byte) {
	t.Helper()
	w, err := sink.Create(t.Context(), job, name)
	require.NoError(t, err)
	_, err = w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Commit())
}

// read returns what can be read of a file, and why it ends.
func read(t testing.TB, sink bulkexport.OutputSink, job, name string) (int64, []byte, error) {
	t.Helper()
	r, err := sink.Open(t.Context(), job, name)
	if err != nil {
		return 0, nil, err
	}
	defer func() { require.NoError(t, r.Close()) }()
	content, err := io.ReadAll(r)
	return r.Size(), content, err
}

func content(t testing.TB, sink bulkexport.OutputSink, job, name string) []byte {
	t.Helper()
	_, content, err := read(t, sink, job, name)
	require.NoError(t, err)
	return content
}

// tree returns the files in dir with their modes.
func tree(t *testing.T, dir string) map[string]fs.FileMode {
	t.Helper()
	modes := map[string]fs.FileMode{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		modes[path] = info.Mode()
		return err
	}))
	return modes
}

func TestLengths(t *testing.T) {
	t.Parallel()
	inner := memsink.New()
	sink := cryptsink.New(inner, cryptsink.NewMemoryKeys())
	for plain, stored := range map[int]int{
		0:             header + 16,
		1:             header + 17,
		chunk - 1:     header + sealed - 1,
		chunk:         header + sealed,
		chunk + 1:     header + sealed + 17,
		3 * chunk:     header + 3*sealed,
		3*chunk + 100: header + 3*sealed + 116,
	} {
		put(t, sink, job, name, data(1, plain))
		require.Equal(t, stored, len(content(t, inner, job, name)), plain)
		for file, err := range sink.(bulkexport.SinkInventory).Files(t.Context(), job) {
			require.NoError(t, err)
			require.EqualValues(t, plain, file.Size)
		}
	}
}

// TestKeyOfFile has the same content stored twice: it does not show.
func TestKeyOfFile(t *testing.T) {
	t.Parallel()
	inner := memsink.New()
	sink := cryptsink.New(inner, cryptsink.NewMemoryKeys())
	same := bytes.Repeat([]byte("a"), 1000)
	put(t, sink, job, name, same)
	put(t, sink, job, other, same)
	first, second := content(t, inner, job, name), content(t, inner, job, other)
	require.NotContains(t, string(first), "aaaa")
	require.NotEqual(t, first[header:], second[header:])
}

func TestNoSignedURLs(t *testing.T) {
	t.Parallel()
	type signing struct {
		*memsink.Sink
		bulkexport.SinkURLs
	}
	_, ok := any(signing{}).(bulkexport.SinkURLs)
	require.True(t, ok)
	sink := cryptsink.New(signing{Sink: memsink.New()}, cryptsink.NewMemoryKeys())
	_, ok = sink.(bulkexport.SinkURLs)
	require.False(t, ok, "whoever has the URL gets what is encrypted")
}

func TestInventoryOnlyOfSinksThatHaveOne(t *testing.T) {
	t.Parallel()
	type plain struct{ bulkexport.OutputSink }
	_, ok := cryptsink.New(plain{memsink.New()}, cryptsink.NewMemoryKeys()).(bulkexport.SinkInventory)
	require.False(t, ok)
	_, ok = cryptsink.New(memsink.New(), cryptsink.NewMemoryKeys()).(bulkexport.SinkInventory)
	require.True(t, ok)
}

func TestDeletedKeyIsDeletedExport(t *testing.T) {
	t.Parallel()
	inner, keys := memsink.New(), cryptsink.NewMemoryKeys()
	sink := cryptsink.New(inner, keys)
	put(t, sink, job, name, data(1, 100))
	put(t, sink, otherJob, name, data(2, 100))
	require.NoError(t, keys.DeleteKey(t.Context(), job))
	requireAbsent := func() {
		t.Helper()
		_, _, err := read(t, sink, job, name)
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
		require.ErrorContains(t, err, job)
		require.ErrorContains(t, err, name)
	}
	requireAbsent()
	put(t, sink, job, other, data(3, 100)) // which makes another key
	requireAbsent()
	require.Equal(t, data(3, 100), content(t, sink, job, other))
	require.Equal(t, data(2, 100), content(t, sink, otherJob, name))
}

// TestDeleteJobGoesOn has the key deleted by a process that died before it had come
// to the files.
func TestDeleteJobGoesOn(t *testing.T) {
	t.Parallel()
	inner, keys := memsink.New(), cryptsink.NewMemoryKeys()
	sink := cryptsink.New(inner, keys)
	put(t, sink, job, name, data(1, 100))
	require.NoError(t, keys.DeleteKey(t.Context(), job))
	require.NoError(t, sink.DeleteJob(t.Context(), job))
	_, _, err := read(t, inner, job, name)
	require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
	require.NoError(t, sink.DeleteJob(t.Context(), job))
}

func TestDeleteJobDeletesTheKey(t *testing.T) {
	t.Parallel()
	keys := cryptsink.NewMemoryKeys()
	sink := cryptsink.New(memsink.New(), keys)
	put(t, sink, job, name, nil)
	require.NoError(t, sink.DeleteJob(t.Context(), job))
	_, err := keys.Key(t.Context(), job)
	require.ErrorIs(t, err, cryptsink.ErrKeyNotFound)
}

// TestCommitNeedsTheKey has the job deleted, and begun again, while a file is written.
func TestCommitNeedsTheKey(t *testing.T) {
	t.Parallel()
	for about, after := range map[string]func(t *testing.T, sink bulkexport.OutputSink){
		"deleted":         func(*testing.T, bulkexport.OutputSink) {},
		"and begun again": func(t *testing.T, s bulkexport.OutputSink) { t.Helper(); put(t, s, job, other, nil) },
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			inner := memsink.New()
			sink := cryptsink.New(inner, cryptsink.NewMemoryKeys())
			w, err := sink.Create(t.Context(), job, name)
			require.NoError(t, err)
			require.NoError(t, sink.DeleteJob(t.Context(), job))
			after(t, sink)
			require.ErrorContains(t, w.Commit(), "key was deleted")
			_, _, err = read(t, inner, job, name)
			require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
			require.NoError(t, w.Abort())
		})
	}
}

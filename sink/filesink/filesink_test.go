package filesink_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/sink/sinktest"
)

const (
	job  = "6qz4k2w7xj5n3c1v8b9m0asdfg"
	name = "Patient-0-1-1.output.ndjson"
)

func TestSink(t *testing.T) {
	t.Parallel()
	var dir string
	sinktest.Run(t, sinktest.Harness{
		Open: func(t *testing.T) bulkexport.OutputSink {
			t.Helper()
			dir = t.TempDir()
			return open(t, dir)
		},
		Reopen: func(t *testing.T, _ bulkexport.OutputSink) bulkexport.OutputSink {
			t.Helper()
			return open(t, dir)
		},
	})
}

// TestSharedDirectory has one sink write what another reads and deletes.
func TestSharedDirectory(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{
		Open: func(t *testing.T) bulkexport.OutputSink {
			t.Helper()
			dir := t.TempDir()
			return twoSinks{Sink: open(t, dir), writing: open(t, dir)}
		},
	})
}

type twoSinks struct {
	*filesink.Sink
	writing *filesink.Sink
}

func (s twoSinks) Create(ctx context.Context, job, name string) (bulkexport.FileWriter, error) {
	return s.writing.Create(ctx, job, name)
}

func open(t *testing.T, dir string) *filesink.Sink {
	t.Helper()
	sink, err := filesink.New(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sink.Close()) })
	return sink
}

func put(t *testing.T, sink *filesink.Sink, job, name, content string) {
	t.Helper()
	w, err := sink.Create(t.Context(), job, name)
	require.NoError(t, err)
	_, err = w.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, w.Commit())
}

// tree returns the paths of all that is in dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	paths := []string{}
	require.NoError(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if path != "." {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

func TestNewMakesDirectoryForOwnerOnly(t *testing.T) {
	t.Parallel()
	parent := filepath.Join(t.TempDir(), "state")
	dir := filepath.Join(parent, "output")
	put(t, open(t, dir), job, name, "{}\n")

	for path, mode := range map[string]fs.FileMode{
		parent:                        0o700 | fs.ModeDir,
		dir:                           0o700 | fs.ModeDir,
		filepath.Join(dir, job):       0o700 | fs.ModeDir,
		filepath.Join(dir, job, name): 0o600,
	} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode(), path)
	}
}

func TestNewRefusesFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for _, dir := range []string{path, filepath.Join(path, "below"), ""} {
		_, err := filesink.New(dir)
		require.ErrorContains(t, err, "filesink: ", dir)
	}
}

func TestCommitLeavesTheFileAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := open(t, dir)
	put(t, sink, job, name, "old\n")
	put(t, sink, job, name, "new\n")
	require.Equal(t, []string{job, job + "/" + name}, tree(t, dir))
}

func TestAbortLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	var writers []bulkexport.FileWriter
	for range 3 {
		w, err := sink.Create(ctx, job, name)
		require.NoError(t, err)
		writers = append(writers, w)
	}
	cancel()
	err := writers[0].Commit()
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, job)
	require.ErrorContains(t, err, name)
	for _, w := range writers {
		require.NoError(t, w.Abort())
	}
	require.Empty(t, tree(t, dir))
}

func TestDeleteJobLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := open(t, dir)
	put(t, sink, job, name, "{}\n")
	abandoned, err := sink.Create(t.Context(), job, "abandoned")
	require.NoError(t, err)
	require.NoError(t, sink.DeleteJob(t.Context(), job))
	require.Empty(t, tree(t, dir))

	require.ErrorIs(t, abandoned.Commit(), fs.ErrNotExist)
	require.NoError(t, abandoned.Abort())
	require.Empty(t, tree(t, dir))
}

func TestFilesOfJobVanishTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := open(t, dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, job), 0o700))
	names := make([]string, 1000)
	for i := range names {
		names[i] = strconv.Itoa(i)
		require.NoError(t, os.WriteFile(filepath.Join(dir, job, names[i]), nil, 0o600))
	}
	isThere := func(name string) bool {
		r, err := sink.Open(t.Context(), job, name)
		if err != nil {
			return false
		}
		return assert.NoError(t, r.Close())
	}

	deleted := make(chan error)
	go func() { deleted <- sink.DeleteJob(t.Context(), job) }()
	for i := 0; isThere(names[i]); i = (i + 1) % len(names) {
		continue
	}
	require.False(t, slices.ContainsFunc(names, isThere), "one file is gone and others are not")
	require.NoError(t, <-deleted)
}

func TestTrashOfCrashIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	plant := func() {
		trash := filepath.Join(dir, filesink.TrashPrefix+"x")
		require.NoError(t, os.Mkdir(trash, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(trash, name), nil, 0o600))
	}
	plant()
	sink := open(t, dir)
	require.Empty(t, tree(t, dir), "New")
	plant()
	require.NoError(t, sink.DeleteJob(t.Context(), job))
	require.Empty(t, tree(t, dir), "DeleteJob of a job without files")
}

// TestInvalidNames holds the sink to more than the suite does: it refuses all
// that the contract does not allow.
func TestInvalidNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := open(t, dir)
	refuse := func(job, name string) {
		t.Helper()
		_, err := sink.Create(t.Context(), job, name)
		require.ErrorContains(t, err, "filesink: create", "%q %q", job, name)
		_, err = sink.Open(t.Context(), job, name)
		require.ErrorContains(t, err, "filesink: open", "%q %q", job, name)
		require.NotErrorIs(t, err, bulkexport.ErrFileNotFound, "%q %q", job, name)
	}
	for _, bad := range []string{
		"", ".", "..", "a/b", "../x", "/etc/passwd", `a\b`, "a\x00", "a\n", "a b", "a:b", "a%", "é",
		".hidden", strings.Repeat("x", 129),
	} {
		refuse(job, bad)
	}
	for _, bad := range []string{
		"", ".", "..", "a/b", "../x", "/tmp", `a\b`, "a\x00", "A", "a.b", "a-b", "a_b", "é",
		filesink.TrashPrefix + "x",
	} {
		refuse(bad, name)
		require.ErrorContains(t, sink.DeleteJob(t.Context(), bad), "filesink: delete job", "%q", bad)
	}
	require.Empty(t, tree(t, dir))
}

// TestLinksDoNotLeadOut plants what an attacker with access to the directory
// of one job might.
func TestLinksDoNotLeadOut(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir, outside := filepath.Join(base, "sink"), filepath.Join(base, "outside")
	require.NoError(t, os.Mkdir(outside, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(outside, name), []byte("secret"), 0o600))
	sink := open(t, dir)

	put(t, sink, job, "file", "{}\n")
	require.NoError(t, os.Symlink(filepath.Join(outside, name), filepath.Join(dir, job, name)))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, "dangling")))

	for _, id := range []string{job, "link", "dangling"} {
		_, err := sink.Open(t.Context(), id, name)
		require.Error(t, err, id)
	}
	for _, id := range []string{"link", "dangling"} {
		_, err := sink.Create(t.Context(), id, name)
		require.Error(t, err, id)
	}
	put(t, sink, job, name, "{}\n") // replaces the link
	for _, id := range []string{job, "link", "dangling"} {
		require.NoError(t, sink.DeleteJob(t.Context(), id))
	}
	require.Empty(t, tree(t, dir))
	require.Equal(t, []string{name}, tree(t, outside))
	content, err := os.ReadFile(filepath.Join(outside, name))
	require.NoError(t, err)
	require.Equal(t, "secret", string(content))
}

func TestClose(t *testing.T) {
	t.Parallel()
	sink, err := filesink.New(t.TempDir())
	require.NoError(t, err)
	put(t, sink, job, name, "{}\n")
	r, err := sink.Open(t.Context(), job, name)
	require.NoError(t, err)
	require.NoError(t, sink.Close())

	_, err = sink.Create(t.Context(), job, name)
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = sink.Open(t.Context(), job, name)
	require.ErrorIs(t, err, os.ErrClosed)
	require.ErrorIs(t, sink.DeleteJob(t.Context(), job), os.ErrClosed)

	p := make([]byte, 3)
	_, err = r.Read(p)
	require.NoError(t, err)
	require.Equal(t, "{}\n", string(p))
	require.NoError(t, r.Close())
}

package filesink_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/sink/filesink"
)

// FuzzFileNames tries any job and file name: nothing beside the sink's folder is ever
// read, written or removed, and what is accepted is a file of that job.
func FuzzFileNames(f *testing.F) {
	const secret = "outside"
	for _, name := range []string{
		"a.ndjson", "..", "../secret", "../../secret", "/etc/passwd", "a/b", `a\b`, `..\secret`, ".hidden", "", ".", "link",
		"link/secret", "a\x00b", "CON", "a:b", "%2e%2e/secret", "~", "é", strings.Repeat("a", 129),
	} {
		f.Add("abcdefghijklmnopqrstuvwx27", name)
		f.Add(name, "a.ndjson")
		f.Add(name, name)
	}
	parent := f.TempDir()
	dir := filepath.Join(parent, "sink")
	require.NoError(f, os.WriteFile(filepath.Join(parent, "secret"), []byte(secret), 0o600))
	sink, err := filesink.New(dir)
	require.NoError(f, err)
	f.Cleanup(func() { _ = sink.Close() })
	// Links lead out of the folder, which somebody else may have put there.
	require.NoError(f, os.Symlink(parent, filepath.Join(dir, "link")))
	require.NoError(f, os.Mkdir(filepath.Join(dir, "job"), 0o700))
	require.NoError(f, os.Symlink(filepath.Join(parent, "secret"), filepath.Join(dir, "job", "link")))

	f.Fuzz(func(t *testing.T, job, name string) {
		if reader, err := sink.Open(t.Context(), job, name); err == nil {
			content, err := io.ReadAll(reader)
			require.NoError(t, err)
			require.NotEqual(t, secret, string(content), "%q %q", job, name)
			require.NoError(t, reader.Close())
		}
		if writer, err := sink.Create(t.Context(), job, name); err == nil {
			_, err := writer.Write([]byte("content"))
			require.NoError(t, err)
			if writer.Commit() == nil {
				info, err := os.Lstat(filepath.Join(dir, job, name))
				require.NoError(t, err, "%q %q", job, name)
				require.Equal(t, fs.FileMode(0o600), info.Mode())
			}
			_ = writer.Abort()
			_ = sink.DeleteFile(t.Context(), job, name)
		}
		_ = sink.DeleteJob(t.Context(), job)
		beside, err := os.ReadDir(parent)
		require.NoError(t, err)
		require.Len(t, beside, 2, "%q %q", job, name)
		content, err := os.ReadFile(filepath.Join(parent, "secret"))
		require.NoError(t, err)
		require.Equal(t, secret, string(content), "%q %q", job, name)
	})
}

package filesink

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAnchors looks at what cannot be seen from outside: whether a folder counts
// as durable. Each case is a folder that the sync of the directory may have
// missed.
func TestAnchors(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, dir, name, content string) {
		t.Helper()
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	for name, change := range map[string]func(t *testing.T, dir string){
		"another folder": func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Rename(dir, dir+"-gone"))
			write(t, dir, "other", "content")
		},
		"another folder with such a file": func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Rename(dir, dir+"-gone"))
			write(t, dir, "file", "content")
		},
		"the file is gone": func(t *testing.T, dir string) {
			t.Helper()
			require.NoError(t, os.Remove(filepath.Join(dir, "file")))
		},
		"the file is replaced": func(t *testing.T, dir string) {
			t.Helper()
			write(t, dir, "new", "content")
			require.NoError(t, os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "file")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "job")
			write(t, dir, "file", "content")
			var known anchors
			require.False(t, known.holds("job", root(t, dir)), "nothing is known yet")
			known.add("job", root(t, dir), "file")
			write(t, dir, "another", "content")
			require.True(t, known.holds("job", root(t, dir)))
			require.False(t, known.holds("another", root(t, dir)))

			change(t, dir)
			require.False(t, known.holds("job", root(t, dir)))
		})
	}
}

func root(t *testing.T, dir string) *os.Root {
	t.Helper()
	r, err := os.OpenRoot(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	return r
}

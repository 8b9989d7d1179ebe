package durable_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/durable"
)

func TestMakeDir(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	dir := filepath.Join(parent, "a", "b", "c")
	for range 2 {
		require.NoError(t, durable.MakeDir(dir))
		for _, made := range []string{dir, filepath.Dir(dir)} {
			info, err := os.Stat(made)
			require.NoError(t, err)
			require.Equal(t, fs.ModeDir|0o700, info.Mode())
		}
	}
	file := filepath.Join(parent, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.Error(t, durable.MakeDir(filepath.Join(file, "below")))
	require.ErrorIs(t, durable.SyncAndClose(os.Open(filepath.Join(parent, "none"))), fs.ErrNotExist)
}

package cryptsink_test

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/sink/cryptsink"
)

const envVictimDir = "CRYPTSINK_VICTIM_DIR"

// TestKilledProcess kills a process that makes and deletes keys as fast as it can: what
// is there is a key, and the last one that files may have been encrypted with.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	for range 5 {
		dir := t.TempDir()
		reported := killVictim(t, dir)
		keys := openKeys(t, dir)
		kept, err := keys.Key(t.Context(), "kept")
		require.NoError(t, err)
		require.Equal(t, reported, fingerprint(kept))
		if _, err = keys.Key(t.Context(), "deleted"); err != nil {
			require.ErrorIs(t, err, cryptsink.ErrKeyNotFound)
		}
		for _, job := range []string{"kept", "deleted"} {
			require.NoError(t, keys.DeleteKey(t.Context(), job))
		}
		require.Len(t, tree(t, dir), 1, "nothing but the folder")
	}
}

// fingerprint is of keys of tests only.
func fingerprint(key cryptsink.Key) string { return hex.EncodeToString(key[:]) }

// killVictim returns the key that the victim said it has made for good.
func killVictim(t *testing.T, dir string) (reported string) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	child.Env = append(os.Environ(), envVictimDir+"="+dir)
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(stdout)
	for range 20 {
		require.True(t, lines.Scan())
		reported = lines.Text()
	}
	require.NoError(t, child.Process.Kill())
	var exit *exec.ExitError
	require.True(t, errors.As(child.Wait(), &exit) && strings.Contains(exit.Error(), "killed"))
	return reported
}

// TestVictim is the process that TestKilledProcess kills. In the ordinary run it has
// nothing to do.
func TestVictim(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(envVictimDir)
	if dir == "" {
		return
	}
	keys := openKeys(t, dir)
	for {
		key, err := keys.CreateKey(t.Context(), "kept")
		require.NoError(t, err)
		fmt.Println(fingerprint(key))
		_, err = keys.CreateKey(t.Context(), "deleted")
		require.NoError(t, err)
		require.NoError(t, keys.DeleteKey(t.Context(), "deleted"))
	}
}

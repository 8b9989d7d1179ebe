package filesink_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/filesink"
)

const envVictimDir = "FILESINK_VICTIM_DIR"

// TestKilledProcess kills a process that writes, replaces and deletes as fast
// as it can, and looks at what a new sink makes of the directory.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	for range 5 {
		dir := t.TempDir()
		reported := killVictim(t, dir)
		sink := open(t, dir)
		for _, path := range tree(t, dir) {
			require.NotContains(t, path, filesink.TrashPrefix)
		}

		content := read(t, sink, "replaced")
		require.True(t, isWhole(content), "%d bytes", len(content))
		last, err := strconv.Atoi(string(content[:generationDigits]))
		require.NoError(t, err)
		require.GreaterOrEqual(t, last, reported, "a commit that was reported is lost")

		if content := read(t, sink, "deleted"); content != nil {
			require.True(t, isWhole(content), "%d bytes", len(content))
		}
		require.Nil(t, read(t, sink, "unfinished"))
		for file, err := range sink.Files(t.Context(), "unfinished") {
			require.NoError(t, err)
			require.Equal(t, name, file.Name)
			require.False(t, file.Committed)
			require.NotZero(t, file.Size)
			require.NoError(t, sink.DeleteFile(t.Context(), "unfinished", file.Name))
		}
		require.NotContains(t, tree(t, dir), "unfinished")

		for _, job := range []string{"replaced", "deleted", "unfinished"} {
			require.NoError(t, sink.DeleteJob(t.Context(), job))
		}
		require.Empty(t, tree(t, dir))
	}
}

// killVictim returns the last generation that the victim said was committed.
func killVictim(t *testing.T, dir string) (reported int) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestVictim$")
	child.Env = append(os.Environ(), envVictimDir+"="+dir)
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	for lines := bufio.NewScanner(stdout); reported < 20 && lines.Scan(); {
		reported, err = strconv.Atoi(lines.Text())
		require.NoError(t, err)
	}
	require.NoError(t, child.Process.Kill())
	require.ErrorContains(t, child.Wait(), "killed")
	require.Equal(t, 20, reported)
	return reported
}

// TestVictim is the process that TestKilledProcess kills. In the ordinary run
// it has nothing to do.
func TestVictim(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(envVictimDir)
	if dir == "" {
		return
	}
	sink := open(t, dir)
	w, err := sink.Create(t.Context(), "unfinished", name)
	require.NoError(t, err)
	for n := 1; ; n++ {
		_, err = w.Write(generation(n))
		require.NoError(t, err)
		put(t, sink, "replaced", name, string(generation(n)))
		fmt.Println(n)
		put(t, sink, "deleted", name, string(generation(n)))
		require.NoError(t, sink.DeleteJob(t.Context(), "deleted"))
	}
}

const generationDigits = 8

func generation(n int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%0*d\n", generationDigits, n), 10_000+n))
}

func isWhole(content []byte) bool {
	n, err := strconv.Atoi(string(content[:min(len(content), generationDigits)]))
	return err == nil && bytes.Equal(content, generation(n))
}

// read returns the content of the job's file, nil if there is none.
func read(t *testing.T, sink *filesink.Sink, job string) []byte {
	t.Helper()
	r, err := sink.Open(t.Context(), job, name)
	if err != nil {
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
		return nil
	}
	content, err := io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	return content
}

package filesink_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

const envFullDisk = "FILESINK_FULL_DISK"

// TestFullDisk runs itself again in a mount namespace, where any user may have
// a file system of one mebibyte.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv(envFullDisk); dir != "" {
		fillDisk(t, dir)
		return
	}
	t.Parallel()
	child := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	child.Env = append(os.Environ(), envFullDisk+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if child.Process == nil || strings.Contains(string(out), "--- SKIP") {
		t.Skipf("needs user namespaces: %v\n%s", err, out)
	}
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: TestFullDisk")
}

func fillDisk(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("mount: %v", err)
	}
	sink := open(t, dir)
	put(t, sink, job, "small", "{}\n")
	w, err := sink.Create(t.Context(), job, name)
	require.NoError(t, err)

	piece := make([]byte, 64<<10)
	for n := 0; err == nil && n < 2<<20; n += len(piece) {
		_, err = w.Write(piece)
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.ErrorIs(t, err, bulkexport.ErrStorageFull)
	require.ErrorContains(t, err, job)
	require.ErrorContains(t, err, name)
	require.ErrorIs(t, w.Commit(), syscall.ENOSPC, "a file that lacks a piece is not published")
	_, err = sink.Open(t.Context(), job, name)
	require.ErrorIs(t, err, bulkexport.ErrFileNotFound)

	require.NoError(t, w.Abort())
	require.Equal(t, []string{job, job + "/small"}, tree(t, dir))
	put(t, sink, job, name, string(piece)) // there is room again

	require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	_, err = sink.Create(t.Context(), job, "late")
	require.ErrorIs(t, err, syscall.EROFS)
	require.ErrorIs(t, err, bulkexport.ErrPermanent)
}

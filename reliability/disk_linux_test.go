package reliability_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// envDisk names a folder for a test that runs itself again.
const envDisk = "BULKEXPORT_RELIABILITY_DISK"

// runAgain runs a test again in a user and mount namespace, as the user with
// this id in there: any user may be 0 and have file systems of any size, and
// root may be another one, who has to heed permissions.
func runAgain(t *testing.T, uid int) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), envDisk+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getgid(), Size: 1}},
	}
	out, err := child.CombinedOutput()
	if child.Process == nil || strings.Contains(string(out), "--- SKIP") {
		t.Skipf("needs user namespaces: %v\n%s", err, out)
	}
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	t.Log(string(out))
}

func TestDisk(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(envDisk)
	if dir == "" {
		runAgain(t, 0)
		return
	}
	for name, check := range map[string]func(*testing.T, string){
		"full": checkFullDisk, "full for a while": checkRoomAgain, "read-only": checkReadOnly,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, mountDisk(t, filepath.Join(dir, name)))
		})
	}
}

// TestFolderWithoutPermission takes the right to write away from the server.
func TestFolderWithoutPermission(t *testing.T) {
	t.Parallel()
	dir := os.Getenv(envDisk)
	if dir == "" {
		runAgain(t, 1000)
		return
	}
	h := newHost(t, dir, 12)
	h.start(bulkexport.Config{MaxAttempts: 2})
	require.NoError(t, os.Chmod(dir, 0o500))
	job := h.kickOff(t, h.base, "")
	h.requireFailed(job, h.await(job))
	require.NoError(t, os.Chmod(dir, 0o700))
	require.NotEmpty(t, h.export("").files)
}

const diskSize = 1 << 20 // half of what an export of 30 patients needs

// mountDisk returns a folder that is a file system of its own.
func mountDisk(t *testing.T, dir string) string {
	t.Helper()
	require.NoError(t, os.Mkdir(dir, 0o700))
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(diskSize)); err != nil {
		t.Skipf("mount: %v", err)
	}
	// Lazily: the sink holds its folder until the test has ended.
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir
}

// used returns how many bytes of a disk are taken.
func used(t *testing.T, dir string) uint64 {
	t.Helper()
	var fs syscall.Statfs_t
	require.NoError(t, syscall.Statfs(dir, &fs))
	return (fs.Blocks - fs.Bfree) * uint64(fs.Bsize)
}

func checkFullDisk(t *testing.T, dir string) {
	h := newHost(t, dir, 30)
	empty := used(t, dir)
	h.start(bulkexport.Config{MaxAttempts: 3})
	job := h.kickOff(t, h.base, "")
	h.requireFailed(job, h.await(job))
	require.Eventually(t, func() bool { return used(t, dir) == empty }, patience, 10*time.Millisecond, "files are freed")

	small := h.export("?_type=Patient")
	require.NotEmpty(t, small.files)
	t.Logf("an export of %d bytes works afterwards", small.bytes)
}

// checkRoomAgain has a disk that is full until each of the workers has failed for
// it.
func checkRoomAgain(t *testing.T, dir string) {
	h := newHost(t, dir, 12)
	want := h.undisturbed()
	for _, job := range h.jobs() {
		require.NoError(t, h.sink.DeleteJob(t.Context(), job.ID))
	}
	ballast := filepath.Join(dir, "ballast")
	require.ErrorIs(t, os.WriteFile(ballast, make([]byte, 2*diskSize), 0o600), syscall.ENOSPC)

	full := make(chan struct{})
	failed := sync.OnceFunc(func() { close(full) })
	h.start(bulkexport.Config{Observer: bulkexport.Observer{
		PartEnded: func(_ context.Context, _ bulkexport.Job, a bulkexport.PartAttempt) {
			if errors.Is(a.Err, syscall.ENOSPC) && a.Part.Failures > 1 {
				failed()
			}
		},
	}})
	job := h.kickOff(t, h.base, "")
	<-full
	require.NoError(t, os.Remove(ballast))
	got := h.await(job)
	require.Equal(t, http.StatusOK, got.status, got.body)
	requireSame(t, want, h.read(t, h.base, job))
}

func checkReadOnly(t *testing.T, dir string) {
	h := newHost(t, dir, 12)
	remount := func(flags uintptr) {
		require.NoError(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""))
	}
	h.start(bulkexport.Config{MaxAttempts: 2})
	remount(syscall.MS_RDONLY)
	job := h.kickOff(t, h.base, "")
	h.requireFailed(job, h.await(job))
	remount(0)
	require.NotEmpty(t, h.export("").files)
}

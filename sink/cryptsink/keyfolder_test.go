package cryptsink_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func TestKeysOfAJob(t *testing.T) {
	t.Parallel()
	for about, open := range map[string]func(t *testing.T) cryptsink.Keys{
		"folder": func(t *testing.T) cryptsink.Keys { t.Helper(); return openKeys(t, t.TempDir()) },
		"memory": func(*testing.T) cryptsink.Keys { return cryptsink.NewMemoryKeys() },
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			keys := open(t)
			ctx := t.Context()
			_, err := keys.Key(ctx, job)
			require.ErrorIs(t, err, cryptsink.ErrKeyNotFound)
			require.NoError(t, keys.DeleteKey(ctx, job))

			key, err := keys.CreateKey(ctx, job)
			require.NoError(t, err)
			require.False(t, key == cryptsink.Key{})
			again, err := keys.CreateKey(ctx, job)
			require.NoError(t, err)
			require.True(t, key == again)
			found, err := keys.Key(ctx, job)
			require.NoError(t, err)
			require.True(t, key == found)
			other, err := keys.CreateKey(ctx, otherJob)
			require.NoError(t, err)
			require.False(t, key == other)

			require.NoError(t, keys.DeleteKey(ctx, job))
			_, err = keys.Key(ctx, job)
			require.ErrorIs(t, err, cryptsink.ErrKeyNotFound)
			next, err := keys.CreateKey(ctx, job)
			require.NoError(t, err)
			require.False(t, key == next)
			found, err = keys.Key(ctx, otherJob)
			require.NoError(t, err)
			require.True(t, other == found)
		})
	}
}

func TestKeysHeedTheContext(t *testing.T) {
	t.Parallel()
	for _, keys := range []cryptsink.Keys{openKeys(t, t.TempDir()), cryptsink.NewMemoryKeys()} {
		key, err := keys.CreateKey(t.Context(), job)
		require.NoError(t, err)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = keys.CreateKey(ended, otherJob)
		require.ErrorIs(t, err, context.Canceled)
		_, err = keys.Key(ended, job)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, keys.DeleteKey(ended, job), context.Canceled)

		_, err = keys.Key(t.Context(), otherJob)
		require.ErrorIs(t, err, cryptsink.ErrKeyNotFound)
		found, err := keys.Key(t.Context(), job)
		require.NoError(t, err)
		require.True(t, key == found)
	}
}

func TestKeyDoesNotShow(t *testing.T) {
	t.Parallel()
	key := cryptsink.Key(bytes.Repeat([]byte("S"), cryptsink.KeySize))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("a", "key", key)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("a", "key", key)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		fmt.Fprintf(&log, verb+"\n", key)
		fmt.Fprintf(&log, verb+"\n", struct{ Key cryptsink.Key }{key})
	}
	require.Equal(t, 18, strings.Count(log.String(), "[key]"), log.String())
	for _, shown := range []string{"SS", "5353", "83 83", "83,83", "83, 83", "0x53"} {
		require.NotContains(t, log.String(), shown)
	}
}

func TestKeyFolderIsForOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state", "keys")
	_, err := openKeys(t, dir).CreateKey(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, map[string]fs.FileMode{".": 0o700 | fs.ModeDir, job: 0o600}, tree(t, dir))
}

func TestKeyFolderOutlivesProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := openKeys(t, dir).CreateKey(t.Context(), job)
	require.NoError(t, err)
	found, err := openKeys(t, dir).Key(t.Context(), job)
	require.NoError(t, err)
	require.True(t, key == found)
}

// TestKeyFolderAgrees has processes make, read and delete keys at once.
func TestKeyFolderAgrees(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const processes = 4
	var folders [processes]*cryptsink.KeyFolder
	for i := range folders {
		folders[i] = openKeys(t, dir)
	}
	for round := range 20 {
		var keys [processes]cryptsink.Key
		var wg sync.WaitGroup
		for i, folder := range folders {
			wg.Go(func() {
				key, err := folder.CreateKey(t.Context(), job)
				assert.NoError(t, err)
				keys[i] = key
			})
		}
		wg.Go(func() { // a process that starts tidies up
			late, err := cryptsink.NewKeyFolder(dir)
			if assert.NoError(t, err) {
				assert.NoError(t, late.Close())
			}
		})
		wg.Wait()
		for _, key := range keys {
			require.True(t, key == keys[0])
		}
		require.Equal(t, map[string]fs.FileMode{".": 0o700 | fs.ModeDir, job: 0o600}, private(tree(t, dir)))
		for i, folder := range folders {
			wg.Go(func() { assert.NoError(t, folder.DeleteKey(t.Context(), job)) })
			wg.Go(func() {
				if _, err := folders[(i+round)%processes].Key(t.Context(), job); err != nil {
					assert.ErrorIs(t, err, cryptsink.ErrKeyNotFound)
				}
			})
		}
		wg.Wait()
		require.Equal(t, map[string]fs.FileMode{".": 0o700 | fs.ModeDir}, private(tree(t, dir)))
	}
}

// private overlooks the mode of a directory that a test has made.
func private(modes map[string]fs.FileMode) map[string]fs.FileMode {
	modes["."] = 0o700 | fs.ModeDir
	return modes
}

// TestKeyFolderAfterCrash has what a process leaves that dies while it writes a key, or
// while it deletes one.
func TestKeyFolderAfterCrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key, err := openKeys(t, dir).CreateKey(t.Context(), job)
	require.NoError(t, err)
	plant := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	plant(".writing-a", "begun")
	plant(".erasing-b", "not yet overwritten")
	// It had its name already.
	require.NoError(t, os.Link(filepath.Join(dir, job), filepath.Join(dir, ".writing-c")))

	keys := openKeys(t, dir)
	found, err := keys.Key(t.Context(), job)
	require.NoError(t, err)
	require.True(t, key == found)
	require.Equal(t, map[string]fs.FileMode{".": 0o700 | fs.ModeDir, job: 0o600}, private(tree(t, dir)))

	plant(".erasing-d", "not yet overwritten")
	require.NoError(t, keys.DeleteKey(t.Context(), otherJob))
	require.NotContains(t, tree(t, dir), ".erasing-d")
}

// TestDeletedKeyIsOverwritten looks at the bytes of the file by another name.
func TestDeletedKeyIsOverwritten(t *testing.T) {
	t.Parallel()
	dir, kept := t.TempDir(), filepath.Join(t.TempDir(), "kept")
	keys := openKeys(t, dir)
	_, err := keys.CreateKey(t.Context(), job)
	require.NoError(t, err)
	require.NoError(t, os.Link(filepath.Join(dir, job), kept))
	require.NoError(t, keys.DeleteKey(t.Context(), job))
	content, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.NotEmpty(t, content)
	require.Equal(t, make([]byte, len(content)), content)
}

func TestDamagedKeyFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keys := openKeys(t, dir)
	_, err := keys.CreateKey(t.Context(), job)
	require.NoError(t, err)
	path := filepath.Join(dir, job)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	flipped := bytes.Clone(whole)
	flipped[7] ^= 1
	for _, content := range [][]byte{nil, whole[:31], whole[:len(whole)-1], append(bytes.Clone(whole), 0), flipped} {
		require.NoError(t, os.WriteFile(path, content, 0o600))
		_, err = keys.Key(t.Context(), job)
		require.ErrorIs(t, err, bulkexport.ErrPermanent)
		require.NotErrorIs(t, err, cryptsink.ErrKeyNotFound)
		require.ErrorContains(t, err, job)
		_, err = keys.CreateKey(t.Context(), job)
		require.ErrorIs(t, err, bulkexport.ErrPermanent, "a key that files may need is not replaced")
	}
	require.NoError(t, keys.DeleteKey(t.Context(), job))
	_, err = keys.CreateKey(t.Context(), job)
	require.NoError(t, err)
}

func TestKeyFolderRefuses(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	dir := filepath.Join(base, "keys")
	keys := openKeys(t, dir)
	outside := filepath.Join(base, "outside")
	require.NoError(t, os.WriteFile(outside, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, job)))
	for _, id := range []string{job, "", ".", "..", "../outside", ".writing-x", "A", "a/b", "a\x00"} {
		_, err := keys.CreateKey(t.Context(), id)
		require.Error(t, err, id)
		_, err = keys.Key(t.Context(), id)
		require.Error(t, err, id)
		require.NotErrorIs(t, err, cryptsink.ErrKeyNotFound, id)
		if id == job {
			require.NoError(t, keys.DeleteKey(t.Context(), id), "it removes the link")
		} else {
			require.Error(t, keys.DeleteKey(t.Context(), id), id)
		}
	}
	require.NotContains(t, tree(t, dir), job)
	content, err := os.ReadFile(outside)
	require.NoError(t, err)
	require.Equal(t, "secret", string(content))
	for _, dir := range []string{outside, filepath.Join(outside, "below"), ""} {
		_, err := cryptsink.NewKeyFolder(dir)
		require.ErrorContains(t, err, "cryptsink: ", dir)
	}
}

func TestKeyFolderWithoutPermission(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may do everything")
	}
	dir := t.TempDir()
	keys := openKeys(t, dir)
	require.NoError(t, os.Chmod(dir, 0o500))
	t.Cleanup(func() { require.NoError(t, os.Chmod(dir, 0o700)) })
	_, err := keys.CreateKey(t.Context(), job)
	require.ErrorIs(t, err, bulkexport.ErrPermanent)
}

func TestKeyFolderClose(t *testing.T) {
	t.Parallel()
	keys, err := cryptsink.NewKeyFolder(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, keys.Close())
	_, err = keys.CreateKey(t.Context(), job)
	require.ErrorIs(t, err, os.ErrClosed)
	_, err = keys.Key(t.Context(), job)
	require.ErrorIs(t, err, os.ErrClosed)
	require.ErrorIs(t, keys.DeleteKey(t.Context(), job), os.ErrClosed)
}

// TestKeyWithoutFiles has a late writer of a deleted job leave a key. It is listed once
// it is old, and goes with the job.
func TestKeyWithoutFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := openFolders(t, dir).(both)
	put(t, sink, otherJob, name, nil)
	w, err := sink.Create(t.Context(), job, name)
	require.NoError(t, err)
	require.NoError(t, w.Abort())
	jobs := func() (ids []string) {
		for id, err := range sink.Jobs(t.Context()) {
			require.NoError(t, err)
			ids = append(ids, id)
		}
		return ids
	}
	require.Equal(t, []string{otherJob}, jobs())
	age := func(id string) {
		old := time.Now().Add(-2 * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(dir, "keys", id), old, old))
	}
	age(job)
	age(otherJob)
	require.Equal(t, []string{otherJob, job}, jobs())
	for id := range sink.Jobs(t.Context()) {
		require.Equal(t, otherJob, id)
		break
	}

	exporter, err := bulkexport.New(bulkexport.Config{
		Source: memsource.New(memsource.Config{}), Store: memstore.New(), Sink: sink,
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	_, err = exporter.CleanUp(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{otherJob}, jobs(), "its file is not as old as TTL")
	require.NotContains(t, tree(t, filepath.Join(dir, "keys")), job)
}

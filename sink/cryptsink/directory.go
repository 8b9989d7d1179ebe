package cryptsink

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// makeDir is os.MkdirAll that also syncs, so that dir itself outlives a crash.
func makeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err = makeDir(parent); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncAndClose(os.Open(filepath.Dir(dir)))
}

// syncAndClose takes what an open returned. Syncing a directory makes the names in it
// durable.
func syncAndClose(dir *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

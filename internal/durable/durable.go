// Package durable makes folders, and names in them, outlive a crash of the machine.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeDir is os.MkdirAll with mode 0700 that also syncs, so that dir itself outlives a
// crash.
func MakeDir(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
		if err = MakeDir(parent); err == nil {
			err = os.Mkdir(dir, 0o700)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return SyncAndClose(os.Open(filepath.Dir(dir)))
}

// SyncAndClose takes what an open returned. Syncing a directory makes the names in it
// durable.
func SyncAndClose(dir *os.File, err error) error {
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

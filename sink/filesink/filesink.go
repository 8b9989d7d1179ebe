// Package filesink keeps the files of exports in a directory, a folder for each
// job.
//
// Durability: a file is written beside its place under a hidden name, synced,
// renamed, and its folder is synced; so is the directory itself, by the first
// commit of a process in a folder. It is whole or absent also after a crash
// of the machine, as far as the file system keeps its word on fsync.
//
// Sharing: any number of sinks, also of different processes, may use one
// directory on a file system where rename is atomic for all of them. On one
// that ignores case, names that differ only in case are the same file.
//
// Errors: a full disk or quota is [bulkexport.ErrStorageFull]; a directory that is
// read-only or denied is [bulkexport.ErrPermanent].
//
// Setup: the directory is made if missing and should hold nothing else. Folders
// are made with mode 0700 and files with 0600, since they hold health data.
package filesink

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/durable"
)

var (
	_ bulkexport.OutputSink    = (*Sink)(nil)
	_ bulkexport.SinkInventory = (*Sink)(nil)
	_ bulkexport.FileReader    = (*reader)(nil)
)

// maxTries bounds what is repeated because somebody else was a moment faster.
const maxTries = 100

// Sink is a [bulkexport.OutputSink] in a directory. Everything goes through an
// [os.Root], so that not even a symbolic link leads out of the directory.
type Sink struct {
	root     *os.Root
	anchored anchors
}

// New returns a sink in dir. It makes dir if it is missing, with its parents,
// and removes what is left of jobs whose deletion was cut short. The sink holds
// dir open until Close.
func New(dir string) (*Sink, error) {
	if err := durable.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("filesink: make directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("filesink: open directory: %w", err)
	}
	s := &Sink{root: root}
	if err := s.emptyTrash(); err != nil {
		return nil, fmt.Errorf("filesink: %w", errors.Join(err, root.Close()))
	}
	return s, nil
}

// Close lets go of the directory. The sink is of no use afterwards, nor are its
// open writers; open readers go on.
func (s *Sink) Close() error {
	if err := s.root.Close(); err != nil {
		return fmt.Errorf("filesink: close directory: %w", err)
	}
	return nil
}

// Open implements [bulkexport.OutputSink]. The reader works on, with the
// content it began with, when the file is deleted or replaced.
func (s *Sink) Open(ctx context.Context, jobID, name string) (bulkexport.FileReader, error) {
	r, err := s.open(ctx, jobID, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = bulkexport.ErrFileNotFound
	}
	if err != nil {
		return nil, wrap("open", jobID, name, err)
	}
	return r, nil
}

func (s *Sink) open(ctx context.Context, jobID, name string) (*reader, error) {
	if err := cmp.Or(ctx.Err(), checkJobID(jobID), checkName(name)); err != nil {
		return nil, err
	}
	file, err := s.root.Open(filepath.Join(jobID, name))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &reader{File: file, size: info.Size()}, nil
}

type reader struct {
	*os.File
	size int64
}

// Size implements [bulkexport.FileReader].
func (r *reader) Size() int64 { return r.size }

// DeleteJob implements [bulkexport.OutputSink]. Writers that are open on the
// job fail to commit. The files vanish together, before the first is removed,
// and do not come back after a crash; the next DeleteJob of any job, or New,
// removes what a crash has left.
func (s *Sink) DeleteJob(ctx context.Context, jobID string) error {
	if err := s.deleteJob(ctx, jobID); err != nil {
		return fmt.Errorf("filesink: delete job %q: %w", jobID, err)
	}
	return nil
}

func (s *Sink) deleteJob(ctx context.Context, jobID string) error {
	if err := cmp.Or(ctx.Err(), checkJobID(jobID)); err != nil {
		return err
	}
	err := s.root.Rename(jobID, trashPrefix+rand.Text())
	switch {
	case err == nil:
		err = durable.SyncAndClose(s.root.Open("."))
	case errors.Is(err, fs.ErrNotExist):
		err = nil
	}
	return errors.Join(err, s.emptyTrash())
}

func (s *Sink) emptyTrash() error {
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), trashPrefix) {
			err = errors.Join(err, s.remove(e.Name()))
		}
	}
	return err
}

// remove repeats itself when a file has come in between, from a writer that had
// found the folder when it was still the job's.
func (s *Sink) remove(trash string) (err error) {
	for range maxTries {
		err = s.root.RemoveAll(trash)
		if !errors.Is(err, fs.ErrExist) { // which "directory not empty" is
			break
		}
	}
	return err
}

// wrap says what failed, and whether it may help to try again.
func wrap(op, jobID, name string, err error) error {
	var class error
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		class = bulkexport.ErrStorageFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		class = bulkexport.ErrPermanent
	default:
		return fmt.Errorf("filesink: %s %q of job %q: %w", op, name, jobID, err)
	}
	return fmt.Errorf("filesink: %s %q of job %q: %w: %w", op, name, jobID, class, err)
}

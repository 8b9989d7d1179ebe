package filesink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/bulkexport/bulkexport"
)

// Jobs implements [bulkexport.SinkInventory].
func (s *Sink) Jobs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		entries, err := fs.ReadDir(s.root.FS(), ".")
		if err != nil {
			yield("", fmt.Errorf("filesink: list jobs: %w", err))
			return
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				yield("", fmt.Errorf("filesink: list jobs: %w", err))
				return
			}
			if e.IsDir() && checkJobID(e.Name()) == nil && !yield(e.Name(), nil) {
				return
			}
		}
	}
}

// Files implements [bulkexport.SinkInventory].
func (s *Sink) Files(ctx context.Context, jobID string) iter.Seq2[bulkexport.StoredFile, error] {
	return func(yield func(bulkexport.StoredFile, error) bool) {
		entries, err := s.entries(ctx, jobID)
		for _, e := range entries {
			file, ok := describe(e)
			if err = ctx.Err(); err != nil {
				break
			}
			if ok && !yield(file, nil) {
				return
			}
		}
		if err != nil {
			yield(bulkexport.StoredFile{}, fmt.Errorf("filesink: list files of job %q: %w", jobID, err))
		}
	}
}

// entries returns what is in the job's folder; nothing if there is none.
func (s *Sink) entries(ctx context.Context, jobID string) ([]fs.DirEntry, error) {
	if err := cmp.Or(ctx.Err(), checkJobID(jobID)); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(s.root.FS(), jobID)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// describe returns false for what is not of this package, or has gone meanwhile.
func describe(e fs.DirEntry) (bulkexport.StoredFile, bool) {
	info, err := e.Info()
	if err != nil || !info.Mode().IsRegular() {
		return bulkexport.StoredFile{}, false
	}
	file := bulkexport.StoredFile{Name: e.Name(), Size: info.Size(), ModTime: info.ModTime().UTC(), Committed: true}
	if name, ok := finalName(e.Name()); ok {
		file.Name, file.Committed = name, false
	}
	return file, checkName(file.Name) == nil
}

// DeleteFile implements [bulkexport.SinkInventory].
func (s *Sink) DeleteFile(ctx context.Context, jobID, name string) error {
	if err := s.deleteFile(ctx, jobID, name); err != nil {
		return wrap("delete", jobID, name, err)
	}
	return nil
}

func (s *Sink) deleteFile(ctx context.Context, jobID, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	entries, err := s.entries(ctx, jobID)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if file, ok := describe(e); !ok || file.Name != name {
			continue
		}
		if gone := s.root.Remove(filepath.Join(jobID, e.Name())); !errors.Is(gone, fs.ErrNotExist) {
			err = errors.Join(err, gone)
		}
	}
	// This succeeds only when the job's folder is empty.
	_ = s.root.Remove(jobID)
	return err
}

package memsink

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/bulkexport/bulkexport"
)

// Jobs implements [bulkexport.SinkInventory].
func (s *Sink) Jobs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		s.mu.RLock()
		ids := slices.Collect(maps.Keys(s.jobs))
		s.mu.RUnlock()
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				yield("", fmt.Errorf("memsink: list jobs: %w", err))
				return
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

// Files implements [bulkexport.SinkInventory]. It knows committed files only:
// one in the making belongs to its writer, and goes with it.
func (s *Sink) Files(ctx context.Context, jobID string) iter.Seq2[bulkexport.StoredFile, error] {
	return func(yield func(bulkexport.StoredFile, error) bool) {
		s.mu.RLock()
		files := maps.Clone(s.jobs[jobID])
		s.mu.RUnlock()
		if err := ctx.Err(); err != nil {
			yield(bulkexport.StoredFile{}, fmt.Errorf("memsink: list files of job %q: %w", jobID, err))
			return
		}
		for name, f := range files {
			size := int64(len(f.content))
			if !yield(bulkexport.StoredFile{Name: name, Size: size, ModTime: f.committed, Committed: true}, nil) {
				return
			}
		}
	}
}

// DeleteFile implements [bulkexport.SinkInventory].
func (s *Sink) DeleteFile(ctx context.Context, jobID, name string) error {
	if err := ctx.Err(); err != nil {
		return wrap("delete", jobID, name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs[jobID], name)
	if len(s.jobs[jobID]) == 0 {
		delete(s.jobs, jobID)
	}
	return nil
}

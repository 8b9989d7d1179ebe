package cryptsink

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/bulkexport/bulkexport"
)

// listed is a sink on one that can say what it holds.
type listed struct {
	*sink
	inventory bulkexport.SinkInventory
}

// keyAge is how old a key is that should have files by now. Those of running jobs may
// not, which does no harm.
const keyAge = time.Hour

// Jobs implements [bulkexport.SinkInventory]. Jobs that have had a key for an hour, but
// have no files, come too, if the keys can be listed: a late writer makes one for a
// job that was just deleted.
func (s listed) Jobs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := map[string]bool{}
		for id, err := range s.inventory.Jobs(ctx) {
			seen[id] = true
			if !yield(id, err) || err != nil {
				return
			}
		}
		keys, ok := s.keys.(KeyInventory)
		if !ok {
			return
		}
		for id, err := range keys.Jobs(ctx, time.Now().Add(-keyAge)) {
			if err != nil {
				yield("", fmt.Errorf("cryptsink: list keys: %w", err))
				return
			}
			if !seen[id] && !yield(id, nil) {
				return
			}
		}
	}
}

// Files implements [bulkexport.SinkInventory]. Sizes are those of the plain files; what
// is stored is longer by 204 bytes and one in four thousand.
func (s listed) Files(ctx context.Context, jobID string) iter.Seq2[bulkexport.StoredFile, error] {
	return func(yield func(bulkexport.StoredFile, error) bool) {
		for file, err := range s.inventory.Files(ctx, jobID) {
			file.Size = plainSize(file.Size)
			if !yield(file, err) {
				return
			}
		}
	}
}

// DeleteFile implements [bulkexport.SinkInventory].
func (s listed) DeleteFile(ctx context.Context, jobID, name string) error {
	return s.inventory.DeleteFile(ctx, jobID, name)
}

package storetest

import (
	"context"
	"sync/atomic"

	"github.com/bulkexport/bulkexport"
)

// unrevisedStores tell revisions that are none.
func unrevisedStores() []brokenStore {
	grows, stays := "revisions/a revision grows with each change", "revisions/a revision stays as long as nothing changes"
	return []brokenStore{
		{"the revision is always the same", breakingPair(func(s *faulty) {
			s.revision = func(ctx context.Context, id string) (int64, error) {
				_, err := s.Store.Revision(ctx, id)
				return 1, err
			}
		}), []string{grows, "persistence/a revision grows with what another store changes"}},
		{"updates of parts have no revision", breaking(func(s *faulty) {
			var unseen atomic.Int64
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				unseen.Add(1)
				return s.Store.UpdatePart(ctx, id, i, fn)
			}
			s.revision = func(ctx context.Context, id string) (int64, error) {
				n, err := s.Store.Revision(ctx, id)
				return n - unseen.Load(), err
			}
		}), []string{grows}},
		{"each process counts its own changes", breakingPair(func(s *faulty) {
			var seen atomic.Int64
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				seen.Add(1)
				return s.Store.UpdateJob(ctx, id, fn)
			}
			s.revision = func(context.Context, string) (int64, error) { return seen.Load(), nil }
		}), []string{"persistence/a revision grows with what another store changes"}},
		{"each look is a new revision", breaking(func(s *faulty) {
			var looks atomic.Int64
			s.revision = func(ctx context.Context, id string) (int64, error) {
				_, err := s.Store.Revision(ctx, id)
				return looks.Add(1), err
			}
		}), []string{stays}},
		{"an unknown job has revision zero, also when time is over", breaking(func(s *faulty) {
			s.revision = func(_ context.Context, id string) (int64, error) {
				n, _ := s.Store.Revision(context.Background(), id)
				return n, nil
			}
		}), []string{"revisions/an unknown job has no revision", "revisions/an ended context ends the call"}},
	}
}

var _ bulkexport.StoreRevisions = (*faulty)(nil)

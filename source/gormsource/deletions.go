package gormsource

import (
	"context"
	"iter"

	"github.com/bulkexport/bulkexport"
)

// Deletions implements [bulkexport.SourceDeletions]. Keys are in the order of
// the deletions.
func (r *Repository) Deletions(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Deletion, error] {
	return func(yield func(bulkexport.Deletion, error) bool) {
		r, v, err := r.view(ctx, q)
		if err != nil {
			yield(bulkexport.Deletion{}, wrap(ctx, "read deletions of "+q.Type, err))
			return
		}
		v.deletions = true
		read := func(r bulkexport.Resource, err error) bool {
			return yield(bulkexport.Deletion{Key: r.Key, ID: string(r.JSON)}, err)
		}
		if v.limited {
			r.streamOf(ctx, &v, "id", read)
			return
		}
		r.stream(ctx, r.selection(&v), read)
	}
}

package memsource

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// Deletions implements [bulkexport.SourceDeletions]. Keys follow the order of
// the deletions. A stream reads like one of Resources.
func (s *Source) Deletions(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Deletion, error] {
	tell := func(v *version) bulkexport.Deletion {
		return bulkexport.Deletion{Key: v.key, ID: v.ID}
	}
	return stream(ctx, "deletions", tell, func() (found []*version, err error) {
		err = s.read(ctx, q, func(sel selection) {
			found = slices.DeleteFunc(sel.versions(q.Type), func(v *version) bool { return !v.deleted })
		})
		return found, err
	})
}

// Lookup implements [bulkexport.SourceLookup]. The order is that of the ids. A
// stream reads like one of Resources.
func (s *Source) Lookup(
	ctx context.Context, q bulkexport.Query, ids []string,
) iter.Seq2[bulkexport.Resource, error] {
	return stream(ctx, "lookup", (*version).resource, func() (found []*version, err error) {
		err = s.read(ctx, q, func(sel selection) { found = sel.lookup(ids) })
		return found, err
	})
}

func (sel selection) lookup(ids []string) (found []*version) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		v := sel.existing(fhir.Reference{Type: sel.q.Type, ID: id}, sel.q.AsOf)
		if v != nil && !seen[id] && sel.has(v) {
			found = append(found, v)
		}
		seen[id] = true
	}
	return found
}

// LatestProvenance implements [bulkexport.SourceProvenance]. A Provenance whose
// recorded is no instant counts as older than all that have one.
func (s *Source) LatestProvenance(
	ctx context.Context, q bulkexport.Query, targetType, targetID string,
) ([]byte, error) {
	if err := check(ctx, q.Scope); err != nil {
		return nil, fmt.Errorf("memsource: latest provenance: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var latest *version
	target := fhir.Reference{Type: targetType, ID: targetID}
	for _, v := range s.tenant(q.Tenant).provenance[target] {
		if v.currentAt(q.AsOf) && (latest == nil || !v.place.recorded.Before(latest.place.recorded)) {
			latest = v
		}
	}
	if latest == nil {
		return nil, nil
	}
	return bytes.Clone(latest.key), nil
}

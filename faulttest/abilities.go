package faulttest

import (
	"context"
	"errors"
	"iter"

	"github.com/bulkexport/bulkexport"
)

// errLacking is never seen by an export that is possible without the wrapper.
var errLacking = errors.New("faulttest: the source lacks the ability")

// CheckGroup implements [bulkexport.SourceGroups].
func (s *source) CheckGroup(ctx context.Context, tenant, id string) error {
	groups, ok := s.inner.(bulkexport.SourceGroups)
	if !ok {
		return errLacking
	}
	return s.p.call(sourceCall("CheckGroup", ""), func() error { return groups.CheckGroup(ctx, tenant, id) })
}

// UnknownPatients implements [bulkexport.SourcePatients].
func (s *source) UnknownPatients(ctx context.Context, scope bulkexport.Scope, ids []string) ([]string, error) {
	patients, ok := s.inner.(bulkexport.SourcePatients)
	if !ok {
		return nil, errLacking
	}
	return ask(s, "UnknownPatients", "", func() ([]string, error) { return patients.UnknownPatients(ctx, scope, ids) })
}

// Deletions implements [bulkexport.SourceDeletions].
func (s *source) Deletions(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Deletion, error] {
	deletions, ok := s.inner.(bulkexport.SourceDeletions)
	if !ok {
		return func(func(bulkexport.Deletion, error) bool) {}
	}
	return stream(s.p, sourceCall("Deletions", q.Type), s.every, deletions.Deletions(ctx, q))
}

// Searches implements [bulkexport.SourceSearcher].
func (s *source) Searches(resourceType, filter string) bool {
	searcher, ok := s.inner.(bulkexport.SourceSearcher)
	return ok && searcher.Searches(resourceType, filter)
}

// Lookup implements [bulkexport.SourceLookup].
func (s *source) Lookup(
	ctx context.Context, q bulkexport.Query, ids []string,
) iter.Seq2[bulkexport.Resource, error] {
	lookup, ok := s.inner.(bulkexport.SourceLookup)
	if !ok {
		return func(yield func(bulkexport.Resource, error) bool) { yield(bulkexport.Resource{}, errLacking) }
	}
	return stream(s.p, sourceCall("Lookup", q.Type), s.every, lookup.Lookup(ctx, q, ids))
}

// LatestProvenance implements [bulkexport.SourceProvenance].
func (s *source) LatestProvenance(
	ctx context.Context, q bulkexport.Query, targetType, targetID string,
) ([]byte, error) {
	provenance, ok := s.inner.(bulkexport.SourceProvenance)
	if !ok {
		return nil, errLacking
	}
	return ask(s, "LatestProvenance", targetType, func() ([]byte, error) {
		return provenance.LatestProvenance(ctx, q, targetType, targetID)
	})
}

// OrganizesBy implements [bulkexport.SourceOrganizer].
func (s *source) OrganizesBy(resourceType string) bool {
	organizer, ok := s.inner.(bulkexport.SourceOrganizer)
	return ok && organizer.OrganizesBy(resourceType)
}

// Blocks implements [bulkexport.SourceOrganizer].
func (s *source) Blocks(
	ctx context.Context, q bulkexport.Query, types []string,
) iter.Seq2[bulkexport.BlockResource, error] {
	organizer, ok := s.inner.(bulkexport.SourceOrganizer)
	if !ok {
		return func(yield func(bulkexport.BlockResource, error) bool) { yield(bulkexport.BlockResource{}, errLacking) }
	}
	return stream(s.p, sourceCall("Blocks", q.Type), s.every, organizer.Blocks(ctx, q, types))
}

package memsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// CheckGroup implements [bulkexport.SourceGroups]. Members are resolved, so that
// a nested Group that cannot be told refuses the whole.
func (s *Source) CheckGroup(ctx context.Context, tenantName, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memsource: check group: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err := s.members(s.tenant(tenantName), id, time.Time{}); err != nil {
		return fmt.Errorf("memsource: check group: %w", err)
	}
	return nil
}

// UnknownPatients implements [bulkexport.SourcePatients].
func (s *Source) UnknownPatients(
	ctx context.Context, scope bulkexport.Scope, ids []string,
) ([]string, error) {
	if err := check(ctx, scope); err != nil {
		return nil, fmt.Errorf("memsource: unknown patients: %w", err)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.tenant(scope.Tenant)
	known := func(id string) bool {
		return t.existing(fhir.Reference{Type: "Patient", ID: id}, time.Time{}) != nil
	}
	if scope.Level == bulkexport.LevelGroup {
		members, err := s.members(t, scope.Group, time.Time{})
		if err != nil {
			return nil, fmt.Errorf("memsource: unknown patients: %w", err)
		}
		known = func(id string) bool { return members[id] }
	}
	return slices.DeleteFunc(slices.Clone(ids), known), nil
}

// patients returns those whose data the query may see.
func (s *Source) patients(t *tenant, q bulkexport.Query) (patientSet, error) {
	var limit patientSet
	if q.Patients.Limited {
		limit = setOf(q.Patients.IDs)
	}
	if q.Level != bulkexport.LevelGroup {
		return limit, nil
	}
	members, err := s.members(t, q.Group, q.AsOf)
	if err != nil || limit == nil {
		return members, err
	}
	for id := range members {
		if !limit[id] {
			delete(members, id)
		}
	}
	return members, nil
}

// members returns the patients of a Group and of the Groups in it. A nested
// Group that is not there has none.
func (s *Source) members(t *tenant, id string, at time.Time) (patientSet, error) {
	if t.existing(fhir.Reference{Type: "Group", ID: id}, at) == nil {
		return nil, bulkexport.ErrGroupNotFound
	}
	moment := at
	if at.IsZero() {
		moment = s.now()
	}
	patients, seen := make(patientSet), map[string]bool{id: true}
	for open := []string{id}; len(open) > 0; {
		group := t.existing(fhir.Reference{Type: "Group", ID: open[0]}, at)
		open = open[1:]
		if group == nil {
			continue
		}
		members, err := fhir.GroupMembers(group.json, moment, s.baseURLs...)
		if err != nil {
			return nil, refused(err)
		}
		for _, patient := range members.Patients {
			patients[patient] = true
		}
		for _, nested := range members.Groups {
			if !seen[nested] {
				seen[nested] = true
				open = append(open, nested)
			}
		}
	}
	return patients, nil
}

func refused(err error) error {
	var cannot *fhir.GroupError
	if !errors.As(err, &cannot) {
		return err
	}
	return &bulkexport.RequestError{
		Parameter: "Group", Code: "not-supported", Reason: cannot.Reason,
	}
}

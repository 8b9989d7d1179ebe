package gormsource

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

const (
	patientType    = "Patient"
	groupType      = "Group"
	provenanceType = "Provenance"
)

// CheckGroup implements [bulkexport.SourceGroups]. It reads the Groups inside
// too. One that is not there has no members.
func (r *Repository) CheckGroup(ctx context.Context, tenant, id string) error {
	scope := bulkexport.Scope{Tenant: tenant, Level: bulkexport.LevelGroup, Group: id}
	v := viewAt(bulkexport.Query{Scope: scope}, present)
	return wrap(ctx, "check group", r.populate(ctx, &v))
}

// UnknownPatients implements [bulkexport.SourcePatients].
func (r *Repository) UnknownPatients(
	ctx context.Context, scope bulkexport.Scope, ids []string,
) ([]string, error) {
	known, err := r.known(ctx, scope, ids)
	if err != nil {
		return nil, wrap(ctx, "unknown patients", err)
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return known[id] }), nil
}

// known returns at least those of the ids that are patients of the scope.
func (r *Repository) known(ctx context.Context, scope bulkexport.Scope, ids []string) (map[string]bool, error) {
	if err := r.checkLevel(scope.Level); err != nil {
		return nil, err
	}
	scope.Patients = bulkexport.PatientSet{}
	v := viewAt(bulkexport.Query{Scope: scope, Type: patientType}, present)
	if scope.Level == bulkexport.LevelGroup {
		err := r.populate(ctx, &v)
		return setOf(v.patients), err
	}
	found, err := r.find(ctx, &v, ids)
	known := make(map[string]bool, len(found))
	for _, f := range found {
		known[f.id] = true
	}
	return known, err
}

// populate finds out who the patients are.
func (r *Repository) populate(ctx context.Context, v *view) error {
	v.limited = v.Level == bulkexport.LevelGroup || v.Level == bulkexport.LevelPatient && v.Patients.Limited
	if v.Level != bulkexport.LevelGroup {
		v.patients = slices.DeleteFunc(slices.Clone(v.Patients.IDs), func(id string) bool { return !fhir.ValidID(id) })
		return nil
	}
	members, err := r.members(ctx, v)
	if v.Patients.Limited {
		limit := setOf(v.Patients.IDs)
		members = slices.DeleteFunc(members, func(id string) bool { return !limit[id] })
	}
	v.patients = members
	return err
}

// members returns the patients of the Group and of those in it, each once.
func (r *Repository) members(ctx context.Context, v *view) ([]string, error) {
	at := v.AsOf
	if at.IsZero() {
		at = time.Now()
	}
	var patients []string
	seen := map[string]bool{v.Group: true}
	for open := []string{v.Group}; len(open) > 0; {
		var nested []string
		n, err := r.eachGroup(ctx, v, open, func(body []byte) error {
			found, err := fhir.GroupMembers(body, at, r.baseURLs...)
			if patients == nil {
				patients = found.Patients // large Groups are copied once less
			} else {
				patients = append(patients, found.Patients...)
			}
			nested = append(nested, found.Groups...)
			return refused(err)
		})
		if err != nil {
			return nil, err
		}
		if n == 0 && len(seen) == 1 {
			return nil, bulkexport.ErrGroupNotFound
		}
		open = open[:0]
		for _, id := range nested {
			if !seen[id] {
				seen[id] = true
				open = append(open, id)
			}
		}
	}
	slices.Sort(patients)
	return slices.Compact(patients), nil
}

// eachGroup reads those of the Groups that are there, and returns how many.
func (r *Repository) eachGroup(ctx context.Context, v *view, ids []string, fn func(body []byte) error) (int, error) {
	groups := viewAt(bulkexport.Query{Scope: bulkexport.Scope{Tenant: v.Tenant}, Type: groupType}, v.asOf)
	found, err := r.find(ctx, &groups, ids)
	if err != nil {
		return 0, err
	}
	at := func(i int) place { return place{groupType, found[i].seq} }
	err = r.bodies(v.Tenant, "body").each(ctx, len(found), at, func(_ int, body []byte) error { return fn(body) })
	return len(found), err
}

// refused says why members cannot be told.
func refused(err error) error {
	var cannot *fhir.GroupError
	if !errors.As(err, &cannot) {
		return err
	}
	return &bulkexport.RequestError{Parameter: groupType, Code: "not-supported", Reason: cannot.Reason}
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

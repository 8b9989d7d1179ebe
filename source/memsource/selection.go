package memsource

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

func check(ctx context.Context, scope bulkexport.Scope) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	switch scope.Level {
	case bulkexport.LevelSystem, bulkexport.LevelPatient, bulkexport.LevelGroup:
		return nil
	}
	return fmt.Errorf("export level %q is not supported", scope.Level)
}

// tenant returns an empty one for a name that is not known.
func (s *Source) tenant(name string) *tenant {
	if t := s.tenants[name]; t != nil {
		return t
	}
	return &tenant{}
}

// selected returns what the query selects now, in order.
func (s *Source) selected(ctx context.Context, q bulkexport.Query) (found []*version, err error) {
	err = s.read(ctx, q, func(sel selection) {
		found = slices.DeleteFunc(sel.versions(q.Type), func(v *version) bool { return v.deleted })
	})
	return found, err
}

// read lets fn choose among what the query may see, with the lock held.
func (s *Source) read(ctx context.Context, q bulkexport.Query, fn func(selection)) error {
	if err := check(ctx, q.Scope); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t := s.tenant(q.Tenant)
	patients, err := s.patients(t, q)
	if err != nil {
		return err
	}
	fn(selection{t, q, patients})
	return nil
}

// selection is a query about a tenant. It is used with the lock held.
type selection struct {
	*tenant
	q        bulkexport.Query
	patients patientSet
}

// patientSet are patients by id; nil are all of them.
type patientSet map[string]bool

func setOf(ids []string) patientSet {
	set := make(patientSet, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// versions returns those of a type that the query selects, deletions among them.
func (sel selection) versions(resourceType string) []*version {
	all := sel.types[resourceType]
	first := sort.Search(len(all), func(i int) bool {
		return bytes.Compare(all[i].key, sel.q.After) > 0
	})
	var found []*version
	for _, v := range all[first:] {
		if sel.q.UpTo != nil && bytes.Compare(v.key, sel.q.UpTo) > 0 {
			break
		}
		if sel.has(v) {
			found = append(found, v)
		}
	}
	return found
}

// has leaves the range of keys out.
func (sel selection) has(v *version) bool {
	return v.currentAt(sel.q.AsOf) && v.updated.After(sel.q.Since) &&
		(sel.q.Until.IsZero() || v.updated.Before(sel.q.Until)) && sel.inScope(v)
}

func (sel selection) inScope(v *version) bool {
	switch {
	case sel.q.Level == bulkexport.LevelSystem:
		return true
	case sel.q.Level == bulkexport.LevelGroup && v.Type == "Group":
		return v.ID == sel.q.Group && len(sel.patients) > 0
	}
	compartments := sel.compartments(v)
	if sel.patients == nil {
		return len(compartments) > 0
	}
	return slices.ContainsFunc(compartments, func(id string) bool { return sel.patients[id] })
}

// compartments returns the patients in whose compartment a version is, or was
// when it was deleted.
func (sel selection) compartments(v *version) []string {
	at := sel.q.AsOf
	if v.deleted {
		at = v.updated
	}
	patients := slices.Clip(v.place.patients)
	for _, target := range v.place.targets {
		if last := sel.last(target, at); last != nil {
			patients = append(patients, last.place.patients...)
		}
	}
	if len(v.place.targets) > 0 {
		slices.Sort(patients)
		patients = slices.Compact(patients)
	}
	return patients
}

// last returns the newest version, or deletion, that a resource had at a moment;
// the zero time is the present.
func (t *tenant) last(name fhir.Reference, at time.Time) *version {
	history := t.history[name]
	n := len(history)
	if !at.IsZero() {
		n = sort.Search(n, func(i int) bool { return history[i].updated.After(at) })
	}
	if n == 0 {
		return nil
	}
	return history[n-1]
}

// existing is last without deletions.
func (t *tenant) existing(name fhir.Reference, at time.Time) *version {
	if v := t.last(name, at); v != nil && !v.deleted {
		return v
	}
	return nil
}

func (v *version) currentAt(at time.Time) bool {
	if at.IsZero() {
		return v.superseded.IsZero()
	}
	return !v.updated.After(at) && (v.superseded.IsZero() || v.superseded.After(at))
}

// maybeIn reports whether the version can be in an export of the level.
func (v *version) maybeIn(level bulkexport.Level) bool {
	switch {
	case level == bulkexport.LevelSystem:
		return true
	case level == bulkexport.LevelGroup && v.Type == "Group":
		return true
	}
	return len(v.place.patients) > 0 || len(v.place.targets) > 0
}

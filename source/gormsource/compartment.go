package gormsource

import (
	"context"

	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// keepInCompartment tells by the body whether a resource is in the Patient
// compartment. What cannot be read is let through, for the export to report.
func (t *Tables) keepInCompartment(q bulkexport.Query) func(context.Context, []byte) (bool, error) {
	var ids []string
	return func(ctx context.Context, body []byte) (bool, error) {
		var err error
		ids, err = t.fhir.AppendPatientIDs(ids[:0], body, t.baseURLs...)
		keep := err != nil || len(ids) > 0
		if keep || q.Type != provenanceType {
			return keep, nil
		}
		return t.anyTargetIn(ctx, q.Scope, body)
	}
}

// anyTargetIn reports whether a Provenance has a target in the compartment.
func (t *Tables) anyTargetIn(ctx context.Context, scope bulkexport.Scope, body []byte) (bool, error) {
	provenance, err := fhir.ReadProvenance(body, t.baseURLs...)
	unreadable := err != nil
	for _, target := range provenance.Targets {
		if !t.fhir.IsPatientCompartmentType(target.Type) {
			continue
		}
		if in, err := t.targetIn(ctx, scope, target); in || err != nil {
			return in, err
		}
	}
	return unreadable, nil
}

// targetIn looks the target up. Where that is not possible it counts.
func (t *Tables) targetIn(ctx context.Context, scope bulkexport.Scope, target fhir.Reference) (bool, error) {
	table := t.tableOf(scope.Tenant, target.Type)
	if table == nil || table.IDColumn == "" {
		return table != nil, nil
	}
	s, err := table.selection(ctx, t.session, bulkexport.Query{Scope: scope, Type: target.Type})
	if err != nil {
		return false, err
	}
	s.conditions = append(s.conditions, clause.Eq{Column: column(table.IDColumn), Value: target.ID})
	query, err := s.query(ctx, t.gorm)
	if err != nil {
		return false, err
	}
	body, err := t.first(ctx, query.Clauses(clause.Select{Columns: []clause.Column{s.body}}))
	if err != nil || body == nil || table.PatientScope != nil {
		return body != nil, err
	}
	ids, err := t.fhir.AppendPatientIDs(nil, body, t.baseURLs...)
	return err == nil && len(ids) > 0, nil
}

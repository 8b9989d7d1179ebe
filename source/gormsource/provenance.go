package gormsource

import (
	"context"
	"database/sql"

	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// LatestProvenance implements [bulkexport.SourceProvenance]. Of what is recorded
// within the same microsecond the last updated counts as the most recent.
func (r *Repository) LatestProvenance(
	ctx context.Context, q bulkexport.Query, targetType, targetID string,
) ([]byte, error) {
	if !fhir.ValidID(targetID) {
		return nil, nil
	}
	moment := momentOf(q)
	r = r.reading(moment)
	query, args := r.targeting(q.Tenant, moment, targetType, targetID).selecting("p.seq")
	query += " ORDER BY t.recorded DESC, p.last_updated DESC, p.seq DESC LIMIT 1"
	var key []byte
	err := r.eachOf(ctx, query, args, func(rows *sql.Rows) error { return rows.Scan(&key) })
	return key, wrap(ctx, "latest provenance", err)
}

// momentOf returns the moment for a single statement.
func momentOf(q bulkexport.Query) int64 {
	if q.AsOf.IsZero() {
		return present
	}
	return q.AsOf.UnixMicro()
}

// targeting goes through the Provenance of a resource, as t and p.
func (r *Repository) targeting(tenant string, asOf int64, targetType, targetID string) *nested {
	v := viewAt(bulkexport.Query{}, asOf)
	selected, args := v.selected("p")
	return r.dialect.over([]string{targetID}).
		inside(targetsTable, "t", "t.tenant = ? AND t.type = ? AND t.id = m.value", tenant, targetType).
		placed("p", "p.type = ? AND p.seq = t.seq AND "+selected, tenant, append([]any{provenanceType}, args...)...)
}

// A Provenance belongs to the patients of its targets as they are at the moment
// that is read; a deleted one as they were when it was deleted. A target that is
// deleted itself still counts: what an export had is not to vanish from the
// next full one, while no increment says that it is gone.

// targetsOf goes through the targets of Provenance at places, as t and x.
func (r *Repository) targetsOf(v *view, seqs []string) *nested {
	return r.dialect.over(seqs).
		inside(targetsTable, "t", "t.seq = CAST(m.value AS BIGINT)").
		named("x", "x.type = t.type AND x.id = t.id AND x.last_updated <= ? AND x.superseded_at > ?",
			v.Tenant, v.asOf, v.asOf)
}

// targeted goes through the Provenance of what belongs to patients, as p. The
// sums keep a planner from going by the index of places, which finds the
// Provenance of everybody.
func (r *Repository) targeted(v *view, patients []string, w window) *nested {
	targets, targetArgs := " AND x.last_updated <= ? AND x.superseded_at > ?", []any{v.asOf, v.asOf}
	provenance, args := v.selected("p")
	if v.deletions {
		targets, targetArgs = "", nil
		provenance += " AND x.last_updated <= p.last_updated AND x.superseded_at > p.last_updated"
	}
	return r.dialect.over(patients).
		inside(compartmentTable, "c", "c.tenant = ? AND c.patient = m.value", v.Tenant).
		inside(resourcesTable, "x", "x.tenant = ? AND x.type = c.type AND x.seq = c.seq"+targets,
			append([]any{v.Tenant}, targetArgs...)...).
		inside(targetsTable, "t",
			"t.tenant = ? AND t.type = x.type AND t.id = x.id AND t.seq + 0 > ? AND t.seq + 0 <= ?",
			v.Tenant, w.after, w.upTo).
		placed("p", "p.type = ? AND p.seq = t.seq AND "+provenance,
			v.Tenant, append([]any{provenanceType}, args...)...)
}

// ofPatients is the condition on the table of resources that a Provenance has a
// target which belongs to any patient.
func (r *Repository) ofPatients(v *view) clause.Expression {
	at, args := "?", []any{v.asOf, v.asOf, flagPatient}
	if v.deletions {
		at, args = resourcesTable+".last_updated", []any{flagPatient}
	}
	query, args := r.dialect.nested(targetsTable+" AS t").
		named("x", "x.type = t.type AND x.id = t.id AND x.last_updated <= "+at+
			" AND x.superseded_at > "+at+" AND x.flags & ? <> 0", v.Tenant, args...).
		selecting("1")
	return clause.Expr{SQL: "(" + query + " WHERE t.seq = bulkexport_resources.seq LIMIT 1) = 1", Vars: args}
}

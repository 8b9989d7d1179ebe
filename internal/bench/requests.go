package main

import (
	"context"
	"math"

	"github.com/bulkexport/bulkexport"
)

// requestExperiments compare exports of something with the export of everything
// from the same database.
func requestExperiments() []experiment {
	return []experiment{
		oneType(),
		fewPatients(),
		againstPlain("`_elements` on every type", bulkexport.ExportRequest{
			Elements: []string{"identifier", "status", "code", "subject"},
		}, false),
		againstPlain("`_typeFilter` on every type", bulkexport.ExportRequest{TypeFilters: []string{
			"AllergyIntolerance?clinical-status=active", "AuditEvent?action=R", "Condition?clinical-status=active",
			"DiagnosticReport?status=final", "Encounter?status=finished", "Group?type=person",
			"Immunization?status=completed", "Location?status=active", "MedicationRequest?status=active",
			"Observation?status=final", "Organization?active=true", "Patient?gender=female",
			"Practitioner?gender=female", "Procedure?status=completed",
		}}, true),
	}
}

func oneType() experiment {
	return onAll([]goal{{
		number: 9, what: "one type, 10 % of the rows", reference: "full export", unit: "s", limit: 0.25,
	}}, func(ctx context.Context, r *round, t task) ([]measurement, error) {
		name, err := tenth(ctx, t.Source.Database)
		if err != nil {
			return nil, err
		}
		m, err := r.againstFull(ctx, t, bulkexport.ExportRequest{Types: []string{name}}, 0)
		return []measurement{m}, err
	})
}

// tenth returns the type whose share of the rows is closest to a tenth.
func tenth(ctx context.Context, database string) (resourceType string, err error) {
	db, err := openSQLite(database, measured)
	if err != nil {
		return "", err
	}
	defer closeDatabase(db, &err)
	var types []struct {
		Type string
		N    float64
	}
	const query = "SELECT type, count(*) AS n FROM bulkexport_resources GROUP BY type"
	if err := db.WithContext(ctx).Raw(query).Scan(&types).Error; err != nil {
		return "", err
	}
	var all float64
	for _, t := range types {
		all += t.N
	}
	distance := math.Inf(1)
	for _, t := range types {
		if d := math.Abs(t.N/all - 0.1); d < distance {
			resourceType, distance = t.Type, d
		}
	}
	return resourceType, nil
}

// againstFull measures an export of so many resources, 0 for any number, against
// that of everything.
func (r *round) againstFull(
	ctx context.Context, full task, request bulkexport.ExportRequest, resources int,
) (measurement, error) {
	some := full
	some.Request = request
	reference, export, err := sides(r,
		func() (cost, error) { return r.exported(ctx, full, 0) },
		func() (cost, error) { return r.exported(ctx, some, resources) },
	)
	return ratioOf(reference, export), err
}

// fewPatients measures the export of a Group among many patients. Its goal has two
// summands, so the figure is the share of their sum.
func fewPatients() experiment {
	const fixed = 0.05
	return onDatabase([]goal{{
		number: 10, what: "Group of 1 in 1,000 patients", reference: "0.01 × full export + 50 ms",
		unit: "s", limit: 1,
	}}, wardsOf, func(ctx context.Context, r *round, t task) ([]measurement, error) {
		m, err := r.againstFull(ctx, t, groupOf("few"), 0)
		return []measurement{ratio(0.01*m.reference+fixed, m.export)}, err
	})
}

func groupOf(id string) bulkexport.ExportRequest {
	return bulkexport.ExportRequest{Level: bulkexport.LevelGroup, Group: id}
}

// againstPlain measures an export that has more to do for each resource, and may
// drop some.
func againstPlain(what string, request bulkexport.ExportRequest, drops bool) experiment {
	return onAll(
		[]goal{{number: 11, what: what, reference: "plain export", unit: "s", limit: 1.4}},
		func(ctx context.Context, r *round, t task) ([]measurement, error) {
			resources := r.resources
			if drops {
				resources = 0
			}
			m, err := r.againstFull(ctx, t, request, resources)
			return []measurement{m}, err
		})
}

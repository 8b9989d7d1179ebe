package main

import (
	"context"
	"fmt"
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
	return experiment{
		goals: []goal{{
			number: 9, what: "one type, 10 % of the rows", reference: "full export", unit: "s", limit: 0.25,
		}},
		prepare: func(ctx context.Context, b *bench) error {
			_, err := b.realistic(ctx, b.resources)
			return err
		},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			database, err := r.realistic(ctx, r.resources)
			if err != nil {
				return nil, err
			}
			name, err := tenth(ctx, database)
			if err != nil {
				return nil, err
			}
			return r.againstFull(ctx, database, bulkexport.ExportRequest{Types: []string{name}}, 0)
		},
	}
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
	ctx context.Context, database string, request bulkexport.ExportRequest, resources int,
) ([]measurement, error) {
	t := task{Do: "export", Source: source{Kind: "repository", Database: database}}
	some := t
	some.Request = request
	reference, export, err := sides(r,
		func() (cost, error) { return r.exported(ctx, t, 0) },
		func() (cost, error) { return r.exported(ctx, some, resources) },
	)
	return []measurement{ratioOf(reference, export)}, err
}

// fewPatients measures the export of a Group among many patients. Its goal has two
// summands, so the figure is the share of their sum.
func fewPatients() experiment {
	const fixed = 0.05
	return experiment{
		goals: []goal{{
			number: 10, what: "Group of 1 in 1,000 patients", reference: "0.01 × full export + 50 ms",
			unit: "s", limit: 1,
		}},
		prepare: func(ctx context.Context, b *bench) error {
			_, err := b.wards(ctx)
			return err
		},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			database, err := r.wards(ctx)
			if err != nil {
				return nil, err
			}
			ms, err := r.againstFull(ctx, database, groupOf("few"), 0)
			if err != nil {
				return nil, err
			}
			return []measurement{ratio(0.01*ms[0].reference+fixed, ms[0].export)}, nil
		},
	}
}

func groupOf(id string) bulkexport.ExportRequest {
	return bulkexport.ExportRequest{Level: bulkexport.LevelGroup, Group: id}
}

// againstPlain measures an export that has more to do for each resource. Without
// drops it has as many of them.
func againstPlain(what string, request bulkexport.ExportRequest, drops bool) experiment {
	return experiment{
		goals: []goal{{number: 11, what: what, reference: "plain export", unit: "s", limit: 1.4}},
		prepare: func(ctx context.Context, b *bench) error {
			_, err := b.realistic(ctx, b.resources)
			return err
		},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			database, err := r.realistic(ctx, r.resources)
			if err != nil {
				return nil, err
			}
			if drops {
				return r.againstFull(ctx, database, request, 0)
			}
			return r.againstFull(ctx, database, request, r.resources)
		},
	}
}

// small databases, see there.
func (b *bench) wards(ctx context.Context) (string, error) {
	patients := b.resources / 10
	return b.database(ctx, fmt.Sprintf("wards-%d.db", patients), wards(ctx, patients))
}

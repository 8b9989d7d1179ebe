package main

import (
	"context"
	"fmt"

	"gorm.io/gorm"
)

// growthExperiments compare the export of ten times as many resources. They are
// small, so that the larger database fits into memory.
func growthExperiments() []experiment {
	return []experiment{{
		goals: []goal{{
			number: 15, what: "ten times as many resources, of 300 bytes", reference: "export of one tenth",
			unit: "s", limit: 11,
		}},
		prepare: func(ctx context.Context, b *bench) error {
			_, _, err := b.grown(ctx)
			return err
		},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			less, more, err := r.grown(ctx)
			if err != nil {
				return nil, err
			}
			of := func(database string) task {
				return task{Do: "export", Source: source{Kind: "repository", Database: database}}
			}
			reference, export, err := sides(r,
				func() (cost, error) { return r.exported(ctx, of(less), 0) },
				func() (cost, error) { return r.exported(ctx, of(more), 0) },
			)
			return []measurement{ratioOf(reference, export)}, err
		},
	}}
}

// grown returns the databases.
func (b *bench) grown(ctx context.Context) (less, more string, err error) {
	const others = 9 // of each patient
	of := func(resources int) (string, error) {
		return b.database(ctx, fmt.Sprintf("small-%d.db", resources), func(db *gorm.DB) error {
			_, _, err := smallDatabase(ctx, db, resources/(others+1), others)
			return err
		})
	}
	if less, err = of(b.resources); err != nil {
		return "", "", err
	}
	more, err = of(10 * b.resources)
	return less, more, err
}

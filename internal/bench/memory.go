package main

import (
	"context"
	"fmt"
	"runtime"

	"gorm.io/gorm"
)

const mib = 1024 // KiB

// memoryExperiments measure the peak resident size of the process, and allocations.
func memoryExperiments() []experiment {
	return []experiment{
		peaks(), largeResources(), onAll([]goal{allocationsFrom("SQLite")}, allocated), allocationsInMemory(),
	}
}

const idleServer = "idle server"

// peaks measures the same export from a database of a fifth as well, and a Group
// that has all patients.
func peaks() experiment {
	return experiment{
		goals: []goal{
			{
				number: 5, what: "peak RSS over idle", reference: idleServer,
				unit: "MiB", figureUnit: "MiB", limit: 64,
			},
			{number: 5, what: "peak RSS", reference: "peak with a fifth of the resources", unit: "MiB", limit: 1.25},
			{
				number: 5, what: "peak RSS over idle, Group of all patients", reference: idleServer,
				unit: "MiB", figureUnit: "MiB", limit: 64,
			},
		},
		prepare: func(ctx context.Context, b *bench) error {
			_, err := b.peakTasks(ctx)
			return err
		},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			tasks, err := r.peakTasks(ctx)
			if err != nil {
				return nil, err
			}
			var peak [4]float64 // idle, fifth, all, group
			for i, t := range tasks {
				if peak[i], err = r.peak(ctx, t); err != nil {
					return nil, err
				}
			}
			return []measurement{over(peak[0], peak[2]), ratio(peak[1], peak[2]), over(peak[0], peak[3])}, nil
		},
	}
}

func (b *bench) peakTasks(ctx context.Context) ([]task, error) {
	fifth, err := b.realistic(ctx, b.resources/5)
	if err != nil {
		return nil, err
	}
	all, err := b.realistic(ctx, b.resources)
	if err != nil {
		return nil, err
	}
	wards, err := wardsOf(ctx, b)
	if err != nil {
		return nil, err
	}
	from := func(database string) source { return source{Kind: "repository", Database: database} }
	return []task{
		{Do: "idle", Source: from(all)},
		{Do: "export", Source: from(fifth)},
		{Do: "export", Source: from(all)},
		{Do: "export", Source: from(wards), Request: groupOf("all")},
	}, nil
}

// peak returns the largest resident size of the process, in MiB.
func (r *round) peak(ctx context.Context, t task) (float64, error) {
	out, err := r.run(ctx, t, nil)
	return float64(out.PeakKiB) / mib, err
}

func over(idle, peak float64) measurement {
	return measurement{reference: idle, export: peak, figure: peak - idle}
}

const largeSize = 5 << 20

// largeResources measures an export of resources of 5 MB, the bound of which grows
// with the number of workers.
func largeResources() experiment {
	return onDatabase([]goal{{
		number: 5, what: "peak RSS over idle, resources of 5 MB", reference: idleServer,
		unit: "MiB", figureUnit: "MiB", limit: float64(runtime.GOMAXPROCS(0)*largeSize>>20 + 64),
	}}, func(ctx context.Context, b *bench) (string, error) {
		n := max(b.resources/1000, 4)
		return b.database(ctx, fmt.Sprintf("large-%d.db", n), func(db *gorm.DB) error {
			return load(ctx, db, large(n, largeSize))
		})
	}, func(ctx context.Context, r *round, t task) ([]measurement, error) {
		idle, export, err := sides(r,
			func() (float64, error) { return r.peak(ctx, task{Do: "idle", Source: t.Source}) },
			func() (float64, error) { return r.peak(ctx, t) },
		)
		return []measurement{over(idle, export)}, err
	})
}

func allocationsFrom(what string) goal {
	return goal{number: 6, what: "allocations per resource, " + what, limit: 0.1}
}

// allocationsInMemory has no more resources than fit.
func allocationsInMemory() experiment {
	return experiment{
		goals: []goal{allocationsFrom("memory")},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			from := source{Kind: "memory", Resources: min(r.resources, 200_000)}
			return allocated(ctx, r, task{Do: "export", Source: from})
		},
	}
}

func allocated(ctx context.Context, r *round, t task) ([]measurement, error) {
	out, err := r.run(ctx, t, nil)
	if err != nil {
		return nil, err
	}
	each := float64(out.Mallocs) / float64(out.Resources)
	return []measurement{{export: each, figure: each}}, nil
}

package main

import (
	"context"
	"slices"
)

// goal is a line of the table.
type goal struct {
	number    int
	what      string
	reference string
	// unit is that of what is measured on either side: s, ms, MiB, MB/s and so on.
	unit string
	// figure is what the goal is about: by default the ratio of export to reference.
	// Its unit is empty for a ratio.
	figureUnit string
	// atLeast says that a figure is better when it is larger.
	atLeast bool
	// limit is the goal, stretch what would be better still; 0 means none.
	limit, stretch float64
}

// meets reports whether a figure is as good as a bound.
func (g goal) meets(figure, bound float64) bool {
	if g.atLeast {
		return figure >= bound
	}
	return figure <= bound
}

// measurement is what one round has found out about a goal.
type measurement struct {
	reference float64 // in the unit of the goal; 0 where there is none
	export    float64
	figure    float64 // what is compared with the goal
	// The processor time of either side; 0 where it is not known.
	referenceCPU, exportCPU float64
}

// ratio is the measurement of most goals.
func ratio(reference, export float64) measurement {
	return measurement{reference: reference, export: export, figure: export / reference}
}

// cost is the time that something took, in seconds.
type cost struct{ wall, cpu float64 }

// ratioOf is the ratio of times.
func ratioOf(reference, export cost) measurement {
	m := ratio(reference.wall, export.wall)
	m.referenceCPU, m.exportCPU = reference.cpu, export.cpu
	return m
}

// experiment measures some goals together, in rounds.
type experiment struct {
	goals []goal
	// lacking, if not nil, says why the experiment cannot be made here, or nothing.
	lacking func(o options) string
	// prepare, if not nil, makes the data.
	prepare func(ctx context.Context, b *bench) error
	// round gives one measurement for each of the goals. Where both sides write the
	// same rows, the first round compares what they have written.
	round func(ctx context.Context, r *round) ([]measurement, error)
}

// experiments returns all there are. To add a goal, add it to one of the files
// named here, or a new one.
func experiments() []experiment {
	return slices.Concat(
		sqliteExperiments(),
		postgresExperiments(),
		hostExperiments(),
		memoryExperiments(),
		compressionExperiments(),
		httpExperiments(),
		requestExperiments(),
		smallExperiments(),
		growthExperiments(),
	)
}

// selected returns the experiments with the chosen goals, in their order.
func selected(o options) []experiment {
	all := experiments()
	slices.SortStableFunc(all, func(a, b experiment) int { return a.goals[0].number - b.goals[0].number })
	return slices.DeleteFunc(all, func(e experiment) bool {
		return o.goals != nil && !slices.ContainsFunc(e.goals, func(g goal) bool { return o.goals[g.number] })
	})
}

// onDatabase makes an experiment with the export of a database, which is made
// before the first round.
func onDatabase(
	goals []goal, database func(context.Context, *bench) (string, error),
	measure func(ctx context.Context, r *round, export task) ([]measurement, error),
) experiment {
	return experiment{
		goals: goals,
		prepare: func(ctx context.Context, b *bench) error {
			_, err := database(ctx, b)
			return err
		},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			path, err := database(ctx, r.bench)
			if err != nil {
				return nil, err
			}
			return measure(ctx, r, task{Do: "export", Source: source{Kind: "repository", Database: path}})
		},
	}
}

// onAll makes an experiment with the export of all resources from SQLite.
func onAll(
	goals []goal, measure func(ctx context.Context, r *round, export task) ([]measurement, error),
) experiment {
	return onDatabase(goals, func(ctx context.Context, b *bench) (string, error) {
		return b.realistic(ctx, b.resources)
	}, measure)
}

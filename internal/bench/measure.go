package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"github.com/bulkexport/bulkexport/internal/pgserver"
)

// minResources is where the shares of a whole (a fifth, a tenth) still have
// something in them.
const minResources = 1000

// bench is what the experiments share.
type bench struct {
	options
	server *pgserver.Server // nil until it is needed
}

// round is one time that both sides are measured.
type round struct {
	*bench
	goal   int // its number, for names of profiles
	number int
}

// first reports whether this is the round before those that count: it fills the
// caches, and compares what both sides write.
func (r *round) first() bool { return r.number == 0 }

// sides runs both sides, which is first by turns, since the one that comes after
// the other meets the caches as that has left them.
func sides[T any](r *round, reference, export func() (T, error)) (ref, exp T, err error) {
	if r.number%2 == 0 {
		if ref, err = reference(); err != nil {
			return ref, exp, fmt.Errorf("reference: %w", err)
		}
	}
	if exp, err = export(); err != nil {
		return ref, exp, fmt.Errorf("export: %w", err)
	}
	if r.number%2 == 1 {
		if ref, err = reference(); err != nil {
			return ref, exp, fmt.Errorf("reference: %w", err)
		}
	}
	return ref, exp, nil
}

// result is what all rounds have found out about a goal.
type result struct {
	goal
	lacking string // why there is none
	median  measurement
	low     float64 // the smallest and the largest figure
	high    float64
	rounds  int
}

// measureAll makes the chosen experiments. With an error it returns the results
// so far.
func measureAll(ctx context.Context, o options) ([]result, error) {
	// The server of PostgreSQL, which may be another user's, has to get in.
	if err := os.MkdirAll(o.dir, 0o755); err != nil { //nolint:gosec // made-up data
		return nil, err
	}
	if o.profile != "" {
		if err := os.MkdirAll(o.profile, 0o755); err != nil { //nolint:gosec // made-up data
			return nil, err
		}
	}
	b := &bench{options: o}
	defer b.close()
	var results []result
	for _, e := range selected(o) {
		found, err := b.measure(ctx, e)
		results = append(results, found...)
		if err != nil {
			return results, fmt.Errorf("goal %d: %w", e.goals[0].number, err)
		}
	}
	return results, nil
}

func (b *bench) close() {
	if b.server != nil {
		b.server.Halt()
	}
}

func (b *bench) measure(ctx context.Context, e experiment) ([]result, error) {
	results := make([]result, len(e.goals))
	for i, g := range e.goals {
		results[i].goal = g
		if e.lacking != nil {
			results[i].lacking = e.lacking(b.options)
		}
	}
	if results[0].lacking != "" {
		return results, nil
	}
	if e.prepare != nil {
		if err := e.prepare(ctx, b); err != nil {
			return nil, fmt.Errorf("make data: %w", err)
		}
	}
	found := make([][]measurement, len(e.goals))
	for n := range b.rounds + 1 {
		ms, err := b.makeRound(ctx, e, n)
		if err != nil {
			return nil, err
		}
		for i, m := range ms {
			if n > 0 {
				found[i] = append(found[i], m)
			}
		}
	}
	for i := range results {
		results[i].summarize(found[i])
	}
	return results, nil
}

func (b *bench) makeRound(ctx context.Context, e experiment, n int) ([]measurement, error) {
	number := e.goals[0].number
	fmt.Fprintf(os.Stderr, "goal %d, round %d of %d\n", number, n, b.rounds)
	ms, err := e.round(ctx, &round{bench: b, goal: number, number: n})
	if err := errors.Join(err, ctx.Err()); err != nil {
		return nil, err
	}
	if len(ms) != len(e.goals) {
		return nil, errors.New("the round has measured something else")
	}
	return ms, nil
}

// summarize takes the median of each column on its own: the figure is the median
// of the rounds' figures, not that of the medians.
func (r *result) summarize(rounds []measurement) {
	r.rounds = len(rounds)
	column := func(of func(measurement) float64) []float64 {
		values := make([]float64, len(rounds))
		for i, m := range rounds {
			values[i] = of(m)
		}
		return values
	}
	figures := column(func(m measurement) float64 { return m.figure })
	r.low, r.high = slices.Min(figures), slices.Max(figures)
	r.median = measurement{
		reference: median(column(func(m measurement) float64 { return m.reference })),
		export:    median(column(func(m measurement) float64 { return m.export })),
		figure:    median(figures),

		referenceCPU: median(column(func(m measurement) float64 { return m.referenceCPU })),
		exportCPU:    median(column(func(m measurement) float64 { return m.exportCPU })),
	}
}

// median returns NaN of no values.
func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the smallest of the values that at least the given share of
// them does not exceed.
func quantile(values []float64, share float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(int(math.Ceil(share*float64(len(sorted)))), 1)-1]
}

package main

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
)

const (
	repetitions = 100 // of the export in a round
	atSameTime  = 4   // clients
)

// smallExperiments measure an export of ten resources through HTTP, against the
// same SQL and file calls by hand, see [byHand].
func smallExperiments() []experiment {
	return []experiment{onDatabase([]goal{
		{
			number: 12, what: "ten resources through HTTP, p50", reference: "the same SQL and file calls by hand, p50",
			unit: "ms", limit: 2,
		},
		{
			number: 12, what: "ten resources through HTTP, p99 of 4 clients at once",
			unit: "ms", figureUnit: "ms", limit: 10,
		},
	}, func(ctx context.Context, b *bench) (string, error) {
		return b.database(ctx, "ten.db", func(db *gorm.DB) error { return load(ctx, db, smallRecords(2, 4)) })
	}, func(ctx context.Context, r *round, t task) ([]measurement, error) {
		var p99 float64
		hand, p50, err := sides(r,
			func() (float64, error) {
				out, err := r.run(ctx, task{Do: "byHand", Source: t.Source, Times: r.repetitions()}, nil)
				return 1000 * median(out.Times), err
			},
			func() (p50 float64, err error) {
				p50, p99, err = r.smallExports(ctx, t)
				return p50, err
			},
		)
		return []measurement{ratio(hand, p50), {export: p99, figure: p99}}, err
	})}
}

// repetitions are fewer in a quick look.
func (b *bench) repetitions() int { return min(b.resources/100, repetitions) }

// smallExports returns milliseconds: of one client, and of several.
func (r *round) smallExports(ctx context.Context, t task) (p50, p99 float64, err error) {
	s, err := r.serve(ctx, t)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	alone, err := s.timesOf(ctx, 1, r.repetitions())
	if err != nil {
		return 0, 0, err
	}
	together, err := s.timesOf(ctx, atSameTime, 2*r.repetitions())
	return 1000 * median(alone), 1000 * quantile(together, 0.99), err
}

// timesOf returns how many seconds each of some exports took, kicked off by so many
// clients, who poll without a pause.
func (c *client) timesOf(ctx context.Context, clients, exports int) ([]float64, error) {
	times := make([]float64, exports)
	err := atOnce(clients, exports, func(i int) error {
		watch := newStopwatch()
		_, err := c.wholeExport(ctx, time.Duration(0), "identity")
		times[i] = watch.seconds()
		return err
	})
	return times, err
}

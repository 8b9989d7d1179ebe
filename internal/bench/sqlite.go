package main

import (
	"context"
	"fmt"
	"os/exec"
)

const allBodies = "select body from bulkexport_resources"

// sqliteExperiments measure exports from SQLite.
//
// Nothing can be switched off so far, so the first two goals have one and the same
// measurement: that of an export with all checks.
func sqliteExperiments() []experiment {
	const reference = "sqlite3 db 'select body …' > file"
	e := onAll([]goal{
		{number: 1, what: "SQLite to files", reference: reference, unit: "s", limit: 1.2, stretch: 0.9},
		{number: 2, what: "the same, every line checked", reference: reference, unit: "s", limit: 1.5, stretch: 1.1},
	}, func(ctx context.Context, r *round, t task) ([]measurement, error) {
		m, err := r.compared(ctx, t, r.resources, nil, "sqlite3", t.Source.Database, allBodies)
		return []measurement{m, m}, err
	})
	e.lacking = lackingPrograms("sqlite3")
	return []experiment{e}
}

// lackingPrograms says which of the programs are not installed.
func lackingPrograms(names ...string) func(options) string {
	return func(options) string {
		for _, name := range names {
			if _, err := exec.LookPath(name); err != nil {
				return name + " is not installed"
			}
		}
		return ""
	}
}

// compared measures a program that writes the same lines as an export of so many
// resources. clean undoes what it does to a line.
func (r *round) compared(
	ctx context.Context, t task, resources int, clean func([]byte) []byte, name string, args ...string,
) (measurement, error) {
	written := func(file string) error {
		if !r.first() {
			return nil
		}
		_, err := r.run(ctx, t, func(folder string) error { return same(file, clean, folder) })
		return err
	}
	reference, export, err := sides(r,
		func() (cost, error) { return r.shell(ctx, written, name, args...) },
		func() (cost, error) { return r.exported(ctx, t, resources) },
	)
	return ratioOf(reference, export), err
}

// exported measures an export of so many resources; 0 means any number.
func (r *round) exported(ctx context.Context, t task, resources int) (cost, error) {
	out, err := r.run(ctx, t, nil)
	if err == nil && (resources != 0 && out.Resources != int64(resources) || out.Resources == 0) {
		err = fmt.Errorf("exported %d resources instead of %d", out.Resources, resources)
	}
	return out.cost(), err
}

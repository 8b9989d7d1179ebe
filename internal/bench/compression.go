package main

import "context"

// compressionExperiments measure exports whose files are stored compressed, as
// fast as can be, as the reference is.
func compressionExperiments() []experiment {
	e := onAll([]goal{{
		number: 7, what: "SQLite to gzip files", reference: "sqlite3 db 'select body …' | gzip -1 > file",
		unit: "s", limit: 0.5,
	}}, func(ctx context.Context, r *round, t task) ([]measurement, error) {
		t.Gzip = true
		m, err := r.compared(ctx, t, r.resources, nil,
			"sh", "-c", `sqlite3 "$1" "$2" | gzip -1`, "sh", t.Source.Database, allBodies)
		return []measurement{m}, err
	})
	e.lacking = lackingPrograms("sqlite3", "gzip", "sh")
	return []experiment{e}
}

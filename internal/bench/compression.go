package main

import "context"

// compressionExperiments measure exports whose files are stored compressed, as
// fast as can be, as the reference is.
func compressionExperiments() []experiment {
	return []experiment{{
		goals: []goal{{
			number: 7, what: "SQLite to gzip files", reference: "sqlite3 db 'select body …' | gzip -1 > file",
			unit: "s", limit: 0.5,
		}},
		lacking: lackingPrograms("sqlite3", "gzip", "sh"),
		prepare: func(ctx context.Context, b *bench) error {
			_, err := b.realistic(ctx, b.resources)
			return err
		},
		round: func(ctx context.Context, r *round) ([]measurement, error) {
			database, err := r.realistic(ctx, r.resources)
			if err != nil {
				return nil, err
			}
			t := task{Do: "export", Source: source{Kind: "repository", Database: database}, Gzip: true}
			reference, export, err := r.compared(ctx, t, r.resources, nil,
				"sh", "-c", `sqlite3 "$1" "$2" | gzip -1`, "sh", database, allBodies)
			return []measurement{ratioOf(reference, export)}, err
		},
	}}
}

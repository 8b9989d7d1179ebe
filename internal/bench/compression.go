package main

import (
	"context"
	"errors"

	"github.com/bulkexport/bulkexport"
)

// compressed says whether files can be stored compressed.
const compressed = false

// compress has the exporter compress its files.
func compress(*bulkexport.Config) error { return errors.New("files are not compressed yet") }

func compressionExperiments() []experiment {
	return []experiment{{
		goals: []goal{{
			number: 7, what: "SQLite to gzip files", reference: "sqlite3 db 'select body …' | gzip -1 > file",
			unit: "s", limit: 0.5,
		}},
		lacking: func(o options) string {
			if !compressed {
				return "not available"
			}
			return lackingPrograms("sqlite3", "gzip", "sh")(o)
		},
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
			reference, export, err := sides(r,
				func() (cost, error) {
					return r.shell(ctx, nil, "sh", "-c", `sqlite3 "$1" "$2" | gzip -1`, "sh", database, allBodies)
				},
				func() (cost, error) { return r.exported(ctx, t, r.resources) },
			)
			return []measurement{ratioOf(reference, export)}, err
		},
	}}
}

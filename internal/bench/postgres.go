package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/internal/pgserver"
)

// serverSettings are those that a host with such data would have. All others are
// PostgreSQL's own.
func serverSettings() []string { return []string{"shared_buffers=1GB", "max_wal_size=4GB"} }

// postgresExperiments measure exports from PostgreSQL, on a private server.
func postgresExperiments() []experiment {
	export := onDatabase([]goal{{
		number: 3, what: "PostgreSQL to files", reference: `psql -c '\copy (select body …) to file'`,
		unit: "s", limit: 0.7, stretch: 0.5,
	}}, allOnPostgres, func(ctx context.Context, r *round, t task) ([]measurement, error) {
		m, err := r.compared(ctx, t, r.resources, uncopied,
			"psql", "-q", "-d", t.Source.Database, "-c", `\copy (`+allBodies+") to pstdout")
		return []measurement{m}, err
	})
	allocations := onDatabase([]goal{allocationsFrom("PostgreSQL")}, allOnPostgres, allocated)
	export.lacking, allocations.lacking = lackingPostgres, lackingPostgres
	return []experiment{export, allocations}
}

func lackingPostgres(o options) string {
	switch {
	case !o.postgres:
		return "not asked for"
	case !pgserver.Installed():
		return "PostgreSQL is not installed"
	}
	return lackingPrograms("psql")(o)
}

// allOnPostgres returns the URL of a database of resources of about 1.4 kB.
func allOnPostgres(ctx context.Context, b *bench) (string, error) {
	return b.databaseOnPostgres(ctx, fmt.Sprintf("resources_%d", b.resources), func(db *gorm.DB) error {
		return load(ctx, db, generate(b.resources))
	})
}

// databaseOnPostgres is like database, on the server.
func (b *bench) databaseOnPostgres(
	ctx context.Context, name string, fill func(*gorm.DB) error,
) (url string, err error) {
	if b.server == nil {
		server, err := pgserver.Open(ctx, filepath.Join(b.dir, "postgres"), serverSettings()...)
		if err != nil {
			return "", fmt.Errorf("start PostgreSQL, whose user must be able to enter -dir: %w", err)
		}
		b.server = server
	}
	admin, err := openPostgres(b.urlOf("postgres"))
	if err != nil {
		return "", err
	}
	defer closeDatabase(admin, &err)
	admin = admin.WithContext(ctx)
	var there bool
	err = admin.Raw("SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = ?)", name).Scan(&there).Error
	if err != nil || there {
		return b.urlOf(name), err
	}
	const unfinished = "loading"
	began := time.Now()
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + unfinished, "CREATE DATABASE " + unfinished} {
		if err := admin.Exec(sql).Error; err != nil {
			return "", err
		}
	}
	if err := fillOnPostgres(ctx, b.urlOf(unfinished), fill); err != nil {
		return "", err
	}
	for _, sql := range []string{"ALTER DATABASE " + unfinished + " RENAME TO " + name, "CHECKPOINT"} {
		if err := admin.Exec(sql).Error; err != nil {
			return "", err
		}
	}
	fmt.Fprintf(os.Stderr, "made %s on PostgreSQL in %v\n", name, time.Since(began).Round(time.Second))
	return b.urlOf(name), nil
}

func (b *bench) urlOf(database string) string {
	url := b.server.URL()
	url.Path = "/" + database
	return url.String()
}

func fillOnPostgres(ctx context.Context, url string, fill func(*gorm.DB) error) (err error) {
	db, err := openPostgres(url + "&synchronous_commit=off")
	if err != nil {
		return err
	}
	defer closeDatabase(db, &err)
	return errors.Join(fill(db), db.WithContext(ctx).Exec("VACUUM ANALYZE").Error)
}

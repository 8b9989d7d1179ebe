package riverrunner

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// Migrate creates the schema and the tables, or brings them up to date: River's own
// and those of this package. It is called before Start, by each node or by a step of
// its own, at once from several places too. It needs two connections of the pool,
// and a user who may create what is missing.
func (r *Runner) Migrate(ctx context.Context) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(r.pool), &rivermigrate.Config{
		Schema: r.cfg.Schema,
		Logger: slog.New(quiet{r.cfg.Logger.Handler()}),
	})
	if err != nil {
		return fmt.Errorf("riverrunner: migrate: %w", err)
	}
	// The lock ends with its transaction, so that it holds behind a pooler too.
	err = pgx.BeginFunc(ctx, r.pool, func(lock pgx.Tx) error {
		if _, err := lock.Exec(ctx, r.sql.migrateKey); err != nil {
			return err
		}
		for _, statement := range r.sql.migration {
			if _, err := r.pool.Exec(ctx, statement); err != nil {
				return err
			}
		}
		_, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("riverrunner: migrate: %w", err)
	}
	return nil
}

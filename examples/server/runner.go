package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/runner/riverrunner"
)

// openRunner returns what performs the work, and a function that frees what it
// holds, once it is stopped.
func openRunner(ctx context.Context, opts options, log *slog.Logger) (bulkexport.Runner, func(), error) {
	if opts.runner == "pool" {
		return bulkexport.NewLimitedPool(opts.workers, opts.ceilings), func() {}, nil
	}
	pool, err := pgxpool.New(ctx, opts.dsn)
	if err != nil {
		return nil, nil, fmt.Errorf("pool for River: %w", err)
	}
	runner, err := riverrunner.New(pool, riverrunner.Config{
		Workers: opts.workers, Ceilings: opts.ceilings, Lease: opts.lease, Logger: log,
	})
	if err == nil {
		err = runner.Migrate(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, nil, err
	}
	if opts.deliverTwice {
		return twice{runner}, pool.Close, nil
	}
	return runner, pool.Close, nil
}

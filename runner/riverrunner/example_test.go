package riverrunner_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/runner/riverrunner"
)

// Each node does this, with the same configuration. The pool may be the host's own.
func ExampleNew() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, "postgres://localhost/host")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	runner, err := riverrunner.New(pool, riverrunner.Config{
		Workers:  4,
		Ceilings: bulkexport.Ceilings{Tenant: 16, Total: 40},
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := runner.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	exporter, err := bulkexport.New(bulkexport.Config{
		Runner: runner, // with Source, Store and Sink that all nodes share
	})
	if err != nil {
		log.Fatal(err)
	}
	defer exporter.Stop(ctx)
	if err := exporter.Start(ctx); err != nil {
		log.Fatal(err)
	}
}

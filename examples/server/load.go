package main

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// load stores the records that the flags name for the default tenant. After a
// restart they are there already, and loading them again would make a new
// version of each.
func load(ctx context.Context, records *gormsource.Repository, opts options, log *slog.Logger) error {
	if !opts.loads() {
		return nil
	}
	types, err := records.Types(ctx, bulkexport.Scope{Level: bulkexport.LevelSystem})
	if err != nil {
		return err
	}
	if len(types) > 0 {
		log.Info("the database has records already, none are loaded", "tenant", defaultTenant)
		return nil
	}
	log.Info("loading records", "tenant", defaultTenant)
	began, total := time.Now(), int64(0)
	// Records keep the last updates that they have, so that _since can be tried.
	history := gormsource.LoadOptions{KeepLastUpdated: true}
	err = opts.data.Each(func(ndjson io.Reader) error {
		n, err := records.Load(ctx, "", ndjson, history)
		total += n
		return err
	})
	if err != nil {
		return err
	}
	log.Info("records are loaded", "tenant", defaultTenant, "resources", total,
		"took", time.Since(began).Round(time.Millisecond))
	return nil
}

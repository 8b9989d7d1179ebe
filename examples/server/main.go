// Command server is a host to try bulk export on: a FHIR server that has
// nothing but $export.
//
//	go run ./examples/server -generate 1000
//
// It keeps its state in a folder (-dir) and goes on there after a restart,
// also after a crash. This file shows how a host puts the parts together, and access.go
// who may export; the others hold what belongs to the host: flags, serving, a brake.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/audit"
	"github.com/bulkexport/bulkexport/examples/internal/database"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	switch err := run(ctx, os.Args[1:], os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

// run is the server's life, from its flags until ctx ends.
func run(ctx context.Context, args []string, output io.Writer) (err error) {
	opts, err := parseOptions(args, output)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(output, nil))
	db, err := openDatabase(opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sink, closeSink, err := openSink(ctx, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeSink()) }()
	store, err := gormstore.New(db.Jobs)
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	source, err := openSource(ctx, db.Resources, opts, log)
	if err != nil {
		return err
	}
	runner, release, err := openRunner(ctx, opts, log)
	if err != nil {
		return err
	}
	defer release()
	cfg := bulkexport.Config{
		Source:           source,
		Store:            store,
		Sink:             sink,
		Runner:           runner,
		Logger:           log,
		MaxFileResources: opts.maxResources,
		MaxFileBytes:     opts.maxBytes,
		GzipLevel:        opts.gzip,
		MaxClientExports: opts.maxClientExports,
		MaxTenantExports: opts.maxTenantExports,
		TTL:              opts.ttl,
		Lease:            opts.lease,
		MaxDuration:      opts.maxDuration,
		MaxStoredBytes:   opts.maxStored,
		CleanUpInterval:  opts.cleanUp,
		Observer:         bulkexport.Observer{CleanedUp: reportStorage(log)},
		StallTimeout:     opts.stallTimeout,
	}
	if opts.clockAhead != 0 {
		cfg.Now = func() time.Time { return time.Now().Add(opts.clockAhead) }
	}
	if opts.audit {
		cfg.Observer = cfg.Observer.With(audit.Slog(log).Observer())
	}
	switch {
	case opts.rate > 0:
		cfg.Filter = newPacer(opts.rate).keep
	case opts.ratePerWorker > 0:
		cfg.Filter = newWorkerPacers(opts.ratePerWorker).keep
	}
	exporter, err := bulkexport.New(cfg)
	if err != nil {
		return err
	}
	return listenAndServe(ctx, exporter, opts, log)
}

// reportStorage is a place for metrics.
func reportStorage(log *slog.Logger) func(context.Context, bulkexport.Storage) {
	return func(ctx context.Context, s bulkexport.Storage) {
		log.InfoContext(ctx, "stored files", "exports", s.Jobs, "files", s.Files, "bytes", s.Bytes)
	}
}

func openDatabase(opts options) (*database.DB, error) {
	if opts.dsn != "" {
		return database.OpenPostgres(opts.dsn)
	}
	if err := os.MkdirAll(opts.dir, 0o700); err != nil {
		return nil, err
	}
	return database.OpenSQLite(filepath.Join(opts.dir, "bulkexport.db"))
}

// openSource makes the records available, and loads them first if there are none.
func openSource(
	ctx context.Context, db *gorm.DB, opts options, log *slog.Logger,
) (*gormsource.Repository, error) {
	records, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{})
	if err != nil {
		return nil, err
	}
	if err := records.Migrate(ctx); err != nil {
		return nil, err
	}
	if err := load(ctx, records, opts, log); err != nil {
		return nil, fmt.Errorf("load records: %w", err)
	}
	return records, nil
}

// listenAndServe puts the exporter on the wire.
func listenAndServe(ctx context.Context, exporter *bulkexport.Exporter, opts options, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", opts.addr)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // for errors; serve has closed it otherwise
	if opts.baseURL == "" {
		opts.baseURL = opts.scheme() + "://" + listener.Addr().String()
	}
	if listener, err = secure(listener, opts); err != nil {
		return err
	}
	handler, err := newHandler(exporter, opts, log)
	if err != nil {
		return err
	}
	if err := exporter.Start(ctx); err != nil {
		return err
	}
	headers := "-H 'Prefer: respond-async'"
	if opts.secured() {
		headers += " -H 'Authorization: Bearer TOKEN'"
	}
	log.Info("listening", "try", "curl -i "+headers+" '"+opts.baseURL+"/fhir/$export'")
	return serve(ctx, listener, handler, exporter)
}

// newHandler returns what answers requests.
func newHandler(exporter *bulkexport.Exporter, opts options, log *slog.Logger) (http.Handler, error) {
	mux := http.NewServeMux()
	cfg := httpadapter.Config{
		BaseURL:      opts.baseURL,
		FHIRPath:     fhirPath,
		Strict:       opts.strict,
		DeleteStatus: opts.deleteStatus,
		PollLimit:    opts.pollLimit,
		Logger:       log,
	}
	if opts.audit {
		cfg.Observer = audit.Slog(log).HTTPObserver()
	}
	var err error
	if cfg.Open = !opts.secured(); !cfg.Open {
		if cfg.Authorize, err = opts.access(exporter, mux, log); err != nil {
			return nil, err
		}
		if cfg.SignedURLs, err = opts.signing(); err != nil {
			return nil, err
		}
	}
	handler, err := httpadapter.New(exporter, cfg)
	if err != nil {
		return nil, err
	}
	if !opts.leadsToTokens() {
		return handler, nil
	}
	mux.Handle("/", handler)
	return mux, nil
}

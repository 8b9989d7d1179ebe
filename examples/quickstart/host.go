package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/examples/internal/database"
	"github.com/bulkexport/bulkexport/examples/internal/dataset"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// stopTime bounds the end of a host.
const stopTime = 10 * time.Second

// host is a FHIR server that has nothing but $export.
type host struct {
	baseURL string
	// loaded are the fingerprints of the records, by resource type.
	loaded map[string]dataset.Fingerprint

	db       *database.DB
	sink     *filesink.Sink
	exporter *bulkexport.Exporter
	server   *http.Server
}

// startHost loads the records into a database in dir and serves them on a free
// port of the loopback interface.
func startHost(ctx context.Context, dir string, opts options) (*host, error) {
	h := &host{}
	if err := h.start(ctx, dir, opts); err != nil {
		return nil, errors.Join(err, h.stop(ctx))
	}
	return h, nil
}

func (h *host) start(ctx context.Context, dir string, opts options) error {
	var err error
	if h.db, err = database.OpenSQLite(filepath.Join(dir, "bulkexport.db")); err != nil {
		return err
	}
	source, err := h.load(ctx, opts)
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	store, err := gormstore.New(h.db.Jobs)
	if err != nil {
		return err
	}
	if err := store.Migrate(ctx); err != nil {
		return err
	}
	if h.sink, err = filesink.New(filepath.Join(dir, "files")); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h.exporter, err = bulkexport.New(bulkexport.Config{Source: source, Store: store, Sink: h.sink, Logger: log})
	if err != nil {
		return err
	}
	if err := h.exporter.Start(ctx); err != nil {
		return err
	}
	return h.serve(ctx, log)
}

// load fills the database and says how long it took.
func (h *host) load(ctx context.Context, opts options) (*gormsource.Repository, error) {
	records, err := gormsource.NewRepository(h.db.Resources, gormsource.RepositoryConfig{})
	if err != nil {
		return nil, err
	}
	if err := records.Migrate(ctx); err != nil {
		return nil, err
	}
	opts.out.printf("Loading %s into SQLite.\n", opts.data)
	began := time.Now()
	var digest dataset.Digest
	err = opts.data.Each(func(ndjson io.Reader) error {
		_, err := records.Load(ctx, "", io.TeeReader(ndjson, &digest), gormsource.LoadOptions{})
		return err
	})
	if err != nil {
		return nil, err
	}
	if h.loaded, err = digest.Types(); err != nil {
		return nil, err
	}
	lines, size := total(h.loaded)
	opts.out.printf("Loaded %d resources (%.1f MB) in %.1f s.\n",
		lines, float64(size)/1e6, time.Since(began).Seconds())
	return records, nil
}

func (h *host) serve(ctx context.Context, log *slog.Logger) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	h.baseURL = "http://" + listener.Addr().String()
	handler, err := httpadapter.New(h.exporter, httpadapter.Config{BaseURL: h.baseURL, Open: true, Logger: log})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	h.server = &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := h.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("serve", "error", err)
		}
	}()
	return nil
}

// stop ends whatever was started, in reverse order.
func (h *host) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	var faults []error
	if h.server != nil {
		faults = append(faults, h.server.Shutdown(ctx))
	}
	if h.exporter != nil {
		faults = append(faults, h.exporter.Stop(ctx))
	}
	if h.sink != nil {
		faults = append(faults, h.sink.Close())
	}
	if h.db != nil {
		faults = append(faults, h.db.Close())
	}
	return errors.Join(faults...)
}

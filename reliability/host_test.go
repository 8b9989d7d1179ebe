//go:build unix

package reliability_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/internal/synthetic"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// host is a server in this process, for faults that need a hand in it: on
// SQLite and files, over HTTP.
type host struct {
	*testing.T
	*client

	source   *gormsource.Repository
	store    *gormstore.Store
	sink     *filesink.Sink
	database *gorm.DB
	log      *logBuffer

	base  string // of the exporter that was opened last
	close func()
}

// newHost has a database with the records of so many patients, and keeps files
// in a folder.
func newHost(t *testing.T, files string, patients int) *host {
	t.Helper()
	h := &host{T: t, client: newClient(t), log: &logBuffer{}}
	file := filepath.Join(t.TempDir(), "db")
	h.database = openSQLite(t, file, 8)
	var err error
	h.source, err = gormsource.NewRepository(h.database, gormsource.RepositoryConfig{})
	require.NoError(t, err)
	require.NoError(t, h.source.Migrate(t.Context()))
	var records bytes.Buffer
	require.NoError(t, synthetic.Write(&records, patients))
	_, err = h.source.Load(t.Context(), "", &records, gormsource.LoadOptions{})
	require.NoError(t, err)
	h.store, err = gormstore.New(openSQLite(t, file, 1))
	require.NoError(t, err)
	require.NoError(t, h.store.Migrate(t.Context()))
	h.sink, err = filesink.New(files)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, h.sink.Close()) })
	return h
}

func openSQLite(t *testing.T, file string, connections int) *gorm.DB {
	t.Helper()
	dsn := "file:" + file + "?_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=10000&_txlock=immediate"
	db, err := gorm.Open(sqlite.Open(dsn), &gorm.Config{Logger: logger.Discard})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(connections)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return db
}

// exporterOf makes an exporter, which is not started. Fields of cfg that are set
// stay.
func (h *host) exporterOf(cfg bulkexport.Config) *bulkexport.Exporter {
	h.Helper()
	cfg.Source, cfg.Store, cfg.Sink = h.source, h.store, h.sink
	cfg.Logger = slog.New(slog.NewTextHandler(h.log, nil))
	cfg.Lease = lease
	cfg.MaxFileResources = cmp.Or(cfg.MaxFileResources, 20)
	exporter, err := bulkexport.New(cfg)
	require.NoError(h, err)
	h.Cleanup(func() { h.stop(exporter) })
	return exporter
}

// open is exporterOf for one that clients reach.
func (h *host) open(cfg bulkexport.Config) *bulkexport.Exporter {
	h.Helper()
	exporter := h.exporterOf(cfg)
	server := httptest.NewUnstartedServer(nil)
	h.base = "http://" + server.Listener.Addr().String()
	handler, err := httpadapter.New(exporter, httpadapter.Config{
		BaseURL: h.base, Open: true, PollLimit: -1, Logger: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	require.NoError(h, err)
	server.Config.Handler = handler
	server.Start()
	h.close = sync.OnceFunc(server.Close)
	h.Cleanup(h.close)
	return exporter
}

// start is open for an exporter that works.
func (h *host) start(cfg bulkexport.Config) *bulkexport.Exporter {
	h.Helper()
	exporter := h.open(cfg)
	require.NoError(h, exporter.Start(h.Context()))
	return exporter
}

func (h *host) stop(exporter *bulkexport.Exporter) {
	h.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience) // that of the test may have ended
	defer cancel()
	require.NoError(h, exporter.Stop(ctx))
}

// await polls until the job has ended, and returns the last answer.
func (h *host) await(job string) answer {
	h.Helper()
	var got answer
	require.Eventually(h, func() bool {
		got = h.must(h.T, http.MethodGet, h.base+job)
		return got.status != http.StatusAccepted
	}, patience, 5*time.Millisecond)
	return got
}

// export runs a whole export and returns its files.
func (h *host) export(query string) export {
	h.Helper()
	job := h.kickOff(h.T, h.base, query)
	got := h.await(job)
	require.Equal(h, http.StatusOK, got.status, got.body)
	return h.read(h.T, h.base, job)
}

// undisturbed runs a whole export by an exporter of its own.
func (h *host) undisturbed() export {
	h.Helper()
	exporter := h.start(bulkexport.Config{})
	defer h.close()
	defer h.stop(exporter)
	return h.export("")
}

// logBuffer is a log. It is safe for concurrent use.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (h *host) jobs() []bulkexport.Job {
	h.Helper()
	jobs, err := h.store.Jobs(h.Context(), bulkexport.JobFilter{})
	require.NoError(h, err)
	return jobs
}

// requireFailed requires that a job has failed, with a reason that tells a client
// nothing of the server, and has no files.
func (h *host) requireFailed(job string, got answer) {
	h.Helper()
	require.Equal(h, http.StatusInternalServerError, got.status, got.body)
	var outcome struct {
		ResourceType string
		Issue        []struct{ Diagnostics string }
	}
	require.NoError(h, json.Unmarshal([]byte(got.body), &outcome))
	require.Equal(h, "OperationOutcome", outcome.ResourceType)
	require.Len(h, outcome.Issue, 1)
	require.NotEmpty(h, outcome.Issue[0].Diagnostics)
	require.NotContains(h, outcome.Issue[0].Diagnostics, "/")
	h.Log(outcome.Issue[0].Diagnostics)
	for _, name := range []string{"Patient.ndjson", "Observation.ndjson"} {
		require.Equal(h, http.StatusNotFound, h.must(h.T, http.MethodGet, h.base+job+"/"+name).status)
	}
}

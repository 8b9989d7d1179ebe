package bulkexport_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/filesink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// mountExport adds bulk export to a host that has a database and a mux.
func mountExport(ctx context.Context, db *gorm.DB, mux *http.ServeMux, dir string) (*bulkexport.Exporter, error) {
	source, err := gormsource.NewTables(ctx, db, gormsource.TablesConfig{Tables: []gormsource.Table{{
		Name: "resource", TypeColumn: "kind", KeyColumn: "seq", BodyColumn: "content",
		LastUpdatedColumn: "updated_at",
		Scope:             func(db *gorm.DB) *gorm.DB { return db.Where("deleted_at IS NULL") },
	}}})
	if err != nil {
		return nil, err
	}
	store, err := gormstore.New(db)
	if err != nil {
		return nil, err
	}
	if err := store.Migrate(ctx); err != nil {
		return nil, err
	}
	sink, err := filesink.New(dir)
	if err != nil {
		return nil, err
	}
	exporter, err := bulkexport.New(bulkexport.Config{Source: source, Store: store, Sink: sink})
	if err != nil {
		return nil, err
	}
	handler, err := httpadapter.New(exporter, httpadapter.Config{BaseURL: "http://127.0.0.1:8080", Open: true})
	if err != nil {
		return nil, err
	}
	for _, pattern := range handler.Patterns() {
		mux.Handle(pattern, handler)
	}
	return exporter, exporter.Start(ctx)
}

// A FHIR server with a table of its own gets bulk export beside its API.
func Example_embed() {
	dir, err := os.MkdirTemp("", "bulkexport-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	db, err := gorm.Open(sqlite.Open(filepath.Join(dir, "fhir.db") + "?_journal_mode=WAL&_busy_timeout=5000"))
	if err != nil {
		log.Fatal(err)
	}
	db.Exec(`CREATE TABLE resource (seq INTEGER PRIMARY KEY, kind TEXT, content TEXT,
		updated_at DATETIME, deleted_at DATETIME)`)
	db.Exec(`INSERT INTO resource (kind, content, updated_at) VALUES ('Patient',
		'{"resourceType":"Patient","id":"p1"}', '2026-01-31 08:00:00+00:00')`)

	ctx := context.Background()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /fhir/metadata", func(http.ResponseWriter, *http.Request) {}) // the host's own API
	exporter, err := mountExport(ctx, db, mux, filepath.Join(dir, "exports"))
	if err != nil {
		log.Fatal(err)
	}
	response := httptest.NewRecorder()
	mux.ServeHTTP(response, httptest.NewRequestWithContext(ctx, http.MethodGet, "/fhir/$export?_type=Patient", nil))
	fmt.Println(response.Code, len(response.Header().Get("Content-Location")))
	if err := exporter.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: 202 60
}

package gormstore_test

import (
	"bytes"
	"errors"
	"log"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// insertDocs stores documents as another version of the store has written them.
func insertDocs(t *testing.T, db *gorm.DB, id string, job, part []byte) {
	t.Helper()
	require.NoError(t, db.Exec(
		"INSERT INTO bulkexport_jobs (id, tenant, state, doc) VALUES (?, 'north', 'failed', ?)",
		id, string(job)).Error)
	require.NoError(t, db.Exec(
		"INSERT INTO bulkexport_parts (job_id, idx, doc) VALUES (?, 0, ?)", id, string(part)).Error)
}

func compat(t *testing.T, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata", "compat", name))
	require.NoError(t, err)
	return doc
}

// TestStoredJobsStillLoad reads what the first version has stored. These
// documents never change; a later version adds its own.
func TestStoredJobsStillLoad(t *testing.T) {
	t.Parallel()
	want := bulkexport.Job{
		ID:     "k3v7yq2mzt4w6xacdeghijlno5",
		Tenant: "north",
		Client: "warehouse",
		Request: bulkexport.ExportRequest{
			URL: "https://fhir.example.org/fhir/$export" +
				"?_type=Observation,Patient&_since=2025-01-01T00:00:00Z",
			Level: bulkexport.LevelSystem,
			Types: []string{"Observation", "Patient"},
			Since: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
		},
		State:           bulkexport.JobFailed,
		CreatedAt:       time.Date(2026, 3, 1, 12, 30, 15, 123456000, time.UTC),
		StartedAt:       time.Date(2026, 3, 1, 12, 30, 16, 500000000, time.UTC),
		EndedAt:         time.Date(2026, 3, 1, 12, 40, 0, 0, time.UTC),
		ExpiresAt:       time.Date(2026, 3, 2, 12, 40, 0, 1000, time.UTC),
		TransactionTime: time.Date(2026, 3, 1, 12, 30, 15, 123000000, time.UTC),
		Consistency:     bulkexport.Bounded,
		Claim:           bulkexport.Claim{Failures: 3},
		FailureReason:   "The export could not be planned.",
	}
	wantPart := bulkexport.Part{
		Type: "Observation", After: []byte{0x00, 0xff}, UpTo: []byte{0xff, 0xff}, Total: 1200,
		Done: true, Cursor: []byte{0xff, 0xfe},
		Files: []bulkexport.File{{
			Name: "00000-1-0.ndjson", Type: "Observation", Kind: bulkexport.FileOutput,
			Count: 1000, Size: 654321,
			SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		}, {
			Name: "00000-1-1.ndjson", Type: "OperationOutcome", Kind: bulkexport.FileError,
			Count: 2, Size: 512,
			SHA256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		}},
		Processed: 1010, Dropped: 8, Errors: 2, Seen: 1100,
		Claim: bulkexport.Claim{
			Attempt: 4, LeaseUntil: time.Date(2026, 3, 1, 12, 41, 0, 250000000, time.UTC), Failures: 1,
		},
	}

	db := openDB(t, sqliteFile(t, ""))
	store := openStore(t, db)
	insertDocs(t, db, want.ID, compat(t, "job-v0.json"), compat(t, "part-v0.json"))
	job, err := store.Job(t.Context(), want.ID)
	require.NoError(t, err)
	require.Equal(t, want, job)
	parts, err := store.Parts(t.Context(), want.ID)
	require.NoError(t, err)
	require.Equal(t, []bulkexport.Part{wantPart}, parts)
}

// TestDamagedDocument must not tell what is in the document.
func TestDamagedDocument(t *testing.T) {
	t.Parallel()
	db := openDB(t, sqliteFile(t, ""))
	store := openStore(t, db)
	damaged := []byte(`{"id":"damaged","request":{"url":"https://example.org/Patient/secret"`)
	insertDocs(t, db, "damaged", damaged, damaged)
	require.NoError(t, store.CreateJob(t.Context(), bulkexport.Job{ID: "whole"}))

	_, jobErr := store.Job(t.Context(), "damaged")
	_, listErr := store.Jobs(t.Context(), bulkexport.JobFilter{})
	_, partsErr := store.Parts(t.Context(), "damaged")
	_, updateErr := store.UpdateJob(t.Context(), "damaged", func(*bulkexport.Job) error { return nil })
	for _, err := range []error{jobErr, listErr, partsErr, updateErr} {
		require.ErrorContains(t, err, "decode")
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := store.Job(t.Context(), "whole")
	require.NoError(t, err)
}

// TestUnstorableStrings would come back as other strings than they were.
func TestUnstorableStrings(t *testing.T) {
	t.Parallel()
	store := openStore(t, openDB(t, sqliteFile(t, "")))
	for _, job := range []bulkexport.Job{
		{ID: "a\xff"}, {ID: "a\x00"}, {ID: "a", Tenant: "north\xfe"}, {ID: "a", Client: "\x00"},
	} {
		require.ErrorContains(t, store.CreateJob(t.Context(), job), "gormstore: create job: ")
	}
	jobs, err := store.Jobs(t.Context(), bulkexport.JobFilter{})
	require.NoError(t, err)
	require.Empty(t, jobs)
}

// TestNothingIsLogged has a handle that logs every statement it runs.
func TestNothingIsLogged(t *testing.T) {
	t.Parallel()
	var logged bytes.Buffer
	db, err := gorm.Open(sqliteFile(t, ""), &gorm.Config{
		Logger: logger.New(log.New(&logged, "", 0), logger.Config{LogLevel: logger.Info}),
	})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close() })
	require.NoError(t, db.Exec("SELECT 1").Error)
	require.NotEmpty(t, logged.String())
	logged.Reset()

	store, err := gormstore.New(db)
	require.NoError(t, err)
	_, missing := store.Job(t.Context(), "a") // there is no table yet
	require.Error(t, missing)
	require.NoError(t, store.Migrate(t.Context()))
	id := running(t, store, 2)
	refused := errors.New("refused")
	_, err = store.UpdatePart(t.Context(), id, 0, func(bulkexport.Job, *bulkexport.Part) error { return refused })
	require.ErrorIs(t, err, refused)
	require.NoError(t, store.DeleteJob(t.Context(), id))
	require.Empty(t, logged.String())
}

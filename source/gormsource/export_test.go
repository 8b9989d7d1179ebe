package gormsource_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

var client = bulkexport.Access{Caller: bulkexport.Caller{Client: "client"}}

// startExporter fills the zero fields of cfg, of which the source is none.
func startExporter(t *testing.T, cfg bulkexport.Config) *bulkexport.Exporter {
	t.Helper()
	if cfg.Store == nil {
		cfg.Store = memstore.New()
	}
	if cfg.Sink == nil {
		cfg.Sink = memsink.New()
	}
	cfg.Runner = bulkexport.NewPool(2)
	cfg.Logger = slog.New(slog.DiscardHandler)
	exporter, err := bulkexport.New(cfg)
	require.NoError(t, err)
	require.NoError(t, exporter.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, exporter.Stop(context.Background())) })
	return exporter
}

// follower is a client that applies one export after another.
type follower struct {
	t        *testing.T
	exporter *bulkexport.Exporter
	ended    chan bulkexport.Job
	// since is the transactionTime of the last export, zero before the first.
	since time.Time
	has   map[string]string // by type/id
}

func newFollower(t *testing.T, source bulkexport.ResourceSource) *follower {
	t.Helper()
	f := &follower{t: t, ended: make(chan bulkexport.Job, 100), has: map[string]string{}}
	f.exporter = startExporter(t, bulkexport.Config{
		// Small enough for a type to be split.
		Source: source, MaxFileResources: 10,
		Observer: bulkexport.Observer{JobEnded: func(_ context.Context, job bulkexport.Job) { f.ended <- job }},
	})
	return f
}

// export is what one export has.
type export struct {
	at      time.Time
	output  map[string]string // by type/id
	deleted []string          // type/id
}

func (f *follower) kickOff(since time.Time) bulkexport.Job {
	f.t.Helper()
	req := bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Since: since}
	job, err := f.exporter.KickOff(f.t.Context(), client, req)
	require.NoError(f.t, err)
	return job
}

// export exports all that changed since then.
func (f *follower) export(since time.Time) export {
	f.t.Helper()
	return f.finish(f.kickOff(since))
}

// finish waits for the only job that runs.
func (f *follower) finish(job bulkexport.Job) export {
	f.t.Helper()
	ended := <-f.ended
	require.Equal(f.t, job.ID, ended.ID)
	require.Equal(f.t, bulkexport.JobCompleted, ended.State)
	found := export{at: ended.TransactionTime, output: map[string]string{}}
	for line := range f.lines(job.ID, bulkexport.FileOutput) {
		id, err := fhir.Identify([]byte(line))
		require.NoError(f.t, err)
		name := id.Type + "/" + id.ID
		require.NotContains(f.t, found.output, name, "a resource comes once")
		found.output[name] = line
	}
	for line := range f.lines(job.ID, bulkexport.FileDeleted) {
		var bundle struct {
			Entry []struct{ Request struct{ Method, URL string } }
		}
		require.NoError(f.t, json.Unmarshal([]byte(line), &bundle))
		for _, entry := range bundle.Entry {
			require.Equal(f.t, "DELETE", entry.Request.Method)
			found.deleted = append(found.deleted, entry.Request.URL)
		}
	}
	return found
}

// lines yields the lines of all files of a kind.
func (f *follower) lines(jobID string, kind bulkexport.FileKind) func(func(string) bool) {
	return func(yield func(string) bool) {
		status, err := f.exporter.Status(f.t.Context(), client, jobID)
		require.NoError(f.t, err)
		for _, file := range status.Files {
			require.NotEqual(f.t, bulkexport.FileError, file.Kind)
			if file.Kind != kind {
				continue
			}
			opened, err := f.exporter.OpenFile(f.t.Context(), client, jobID, file.PublicName)
			require.NoError(f.t, err)
			content, err := io.ReadAll(opened)
			require.NoError(f.t, err)
			require.NoError(f.t, opened.Close())
			for line := range bytes.Lines(content) {
				if !yield(string(bytes.TrimSuffix(line, []byte("\n")))) {
					return
				}
			}
		}
	}
}

// apply takes over an export: first what was deleted, then what there is.
func (f *follower) apply(e export) {
	for _, name := range e.deleted {
		delete(f.has, name)
	}
	for name, resource := range e.output {
		f.has[name] = resource
	}
	f.since = e.at
}

// next applies the next link of the chain, at first the full export.
func (f *follower) next() {
	f.t.Helper()
	f.apply(f.export(f.since))
}

// reach exports until the transactionTime is later than a moment.
func (f *follower) reach(at time.Time) {
	f.t.Helper()
	for f.next(); !f.since.After(at); f.next() {
	}
}

// requireTime returns a transactionTime.
func requireTime(t *testing.T, source *gormsource.Tables) time.Time {
	t.Helper()
	at, err := source.TransactionTime(t.Context(), "")
	require.NoError(t, err)
	return at
}

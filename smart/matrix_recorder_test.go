package smart_test

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// diary is which calls of store, sink and source were made for one request. It stands
// for the time that an answer takes: after the same calls that tells nothing.
type diary struct {
	calls []string
	ended chan struct{} // closed when the handler has returned
}

type diaryKey struct{}

// note writes a call down, if it is one for a request.
func note(ctx context.Context, call string) {
	if d, ok := ctx.Value(diaryKey{}).(*diary); ok {
		d.calls = append(d.calls, call)
	}
}

// diaries finds the diary of a request by its header.
type diaries struct{ byRequest sync.Map }

const diaryHeader = "X-Diary"

func (d *diaries) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, _ := d.byRequest.Load(r.Header.Get(diaryHeader))
		own := found.(*diary)
		defer close(own.ended)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), diaryKey{}, own)))
	})
}

type notedStore struct{ *memstore.Store }

func (s notedStore) CreateJob(ctx context.Context, job bulkexport.Job) error {
	note(ctx, "CreateJob")
	return s.Store.CreateJob(ctx, job)
}

func (s notedStore) Job(ctx context.Context, id string) (bulkexport.Job, error) {
	note(ctx, "Job")
	return s.Store.Job(ctx, id)
}

func (s notedStore) UpdateJob(
	ctx context.Context, id string, fn func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	note(ctx, "UpdateJob")
	return s.Store.UpdateJob(ctx, id, fn)
}

func (s notedStore) Jobs(ctx context.Context, filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	note(ctx, "Jobs")
	return s.Store.Jobs(ctx, filter)
}

func (s notedStore) DeleteJob(ctx context.Context, id string) error {
	note(ctx, "Store.DeleteJob")
	return s.Store.DeleteJob(ctx, id)
}

func (s notedStore) SetParts(ctx context.Context, id string, parts []bulkexport.Part) error {
	note(ctx, "SetParts")
	return s.Store.SetParts(ctx, id, parts)
}

func (s notedStore) Parts(ctx context.Context, id string) ([]bulkexport.Part, error) {
	note(ctx, "Parts")
	return s.Store.Parts(ctx, id)
}

func (s notedStore) UpdatePart(
	ctx context.Context, id string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	note(ctx, "UpdatePart")
	return s.Store.UpdatePart(ctx, id, index, fn)
}

func (s notedStore) Revision(ctx context.Context, id string) (int64, error) {
	note(ctx, "Revision")
	return s.Store.Revision(ctx, id)
}

type notedSink struct{ *memsink.Sink }

func (s notedSink) Create(ctx context.Context, id, name string) (bulkexport.FileWriter, error) {
	note(ctx, "Create")
	return s.Sink.Create(ctx, id, name)
}

func (s notedSink) Open(ctx context.Context, id, name string) (bulkexport.FileReader, error) {
	note(ctx, "Open")
	return s.Sink.Open(ctx, id, name)
}

func (s notedSink) DeleteJob(ctx context.Context, id string) error {
	note(ctx, "Sink.DeleteJob")
	return s.Sink.DeleteJob(ctx, id)
}

type notedSource struct{ *memsource.Source }

func (s notedSource) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	note(ctx, "Types")
	return s.Source.Types(ctx, scope)
}

func (s notedSource) Resources(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Resource, error] {
	note(ctx, "Resources")
	return s.Source.Resources(ctx, q)
}

func (s notedSource) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	note(ctx, "Count")
	return s.Source.Count(ctx, q)
}

func (s notedSource) CheckGroup(ctx context.Context, tenant, id string) error {
	note(ctx, "CheckGroup")
	return s.Source.CheckGroup(ctx, tenant, id)
}

func (s notedSource) UnknownPatients(
	ctx context.Context, scope bulkexport.Scope, ids []string,
) ([]string, error) {
	note(ctx, "UnknownPatients")
	return s.Source.UnknownPatients(ctx, scope, ids)
}

func (s notedSource) TransactionTime(ctx context.Context, tenant string) (time.Time, error) {
	note(ctx, "TransactionTime")
	return s.Source.TransactionTime(ctx, tenant)
}

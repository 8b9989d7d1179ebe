// Package audit keeps the trail of who was given what: one event for each kick-off, end
// of an export, download, deletion and refusal.
//
//	trail := audit.Slog(logger)
//	exporter, err := bulkexport.New(bulkexport.Config{Observer: trail.Observer(), …})
//	handler, err := httpadapter.New(exporter, httpadapter.Config{Observer: trail.HTTPObserver(), …})
//
// An event says who, what and how much, and holds no resource content, no credentials
// and no URL; patients that a request names are counted. [Event.AuditEvent] makes a FHIR
// resource of it.
//
// What a client does without the host is not seen: downloads from object storage by
// signed URLs ([bulkexport.SinkURLs]) are in the access log of the bucket. An event is
// told once, by the process that did what it is about; one that dies at that moment may
// not get to it, and the end of an export may come twice then, as one that fails.
package audit

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

// Kind is what happened.
type Kind string

// The kinds of events.
const (
	KickOff   Kind = "kick-off"  // an export was accepted
	Completed Kind = "completed" // its files are there
	Failed    Kind = "failed"    // it ended without
	Deleted   Kind = "deleted"   // it was cancelled, or its files were given up, by its client
	Download  Kind = "download"  // bytes of a file were sent
	Refused   Kind = "refused"   // a request was denied
)

// Event is an entry of the trail. Fields that do not apply are zero.
type Event struct {
	// Kind is what happened, and At when, by the clock of this machine.
	Kind Kind
	At   time.Time
	// Caller is the tenant and client that it was done for; zero for a refusal of
	// somebody who is not known. Remote is where the request came from.
	Caller bulkexport.Caller
	Remote string

	// JobID is the export. In a refusal it is what was asked for, there or not.
	JobID string
	// Level, Group, Types, Patients and Since say what is exported: Types is nil if
	// all are, Patients is how many are named, or 0.
	Level    bulkexport.Level
	Group    string
	Types    []string
	Patients int
	Since    time.Time

	// File is the public name of a file.
	File string
	// Resources is how many resources the export or the file has, Bytes how much was
	// stored or sent.
	Resources, Bytes int64
	// Whole says that all of the file was sent in one answer, Signed that the URL was
	// the permission.
	Whole, Signed bool

	// Operation is what was refused, with which Status, and Reason why: one of
	// "unauthenticated", "scope", "forbidden", "not-found", "throttled".
	Operation httpadapter.Operation
	Status    int
	Reason    string
}

// Writer takes the events of the trail: several at once, called by those who answer
// requests and do the work, which wait for it. The context does not end with the
// request.
type Writer func(ctx context.Context, event Event)

// Observer returns what tells the writer about exports. Where the host has an observer
// of its own, [bulkexport.Observer.With] joins them.
func (w Writer) Observer() bulkexport.Observer {
	return bulkexport.Observer{
		JobAccepted: func(ctx context.Context, job bulkexport.Job) { w.writeJob(ctx, KickOff, job) },
		JobEnded: func(ctx context.Context, job bulkexport.Job) {
			switch job.State {
			case bulkexport.JobCompleted:
				w.writeJob(ctx, Completed, job)
			case bulkexport.JobDeleted:
				w.writeJob(ctx, Deleted, job)
			default:
				w.writeJob(ctx, Failed, job)
			}
		},
	}
}

func (w Writer) writeJob(ctx context.Context, kind Kind, job bulkexport.Job) {
	event := ofJob(kind, job)
	event.Remote = httpadapter.Remote(ctx)
	event.Resources, event.Bytes = job.Resources, job.Size
	w.write(ctx, event)
}

// ofJob returns an event with what is known of a job.
func ofJob(kind Kind, job bulkexport.Job) Event {
	request := job.Request
	return Event{
		Kind: kind, Caller: bulkexport.Caller{Tenant: job.Tenant, Client: job.Client}, JobID: job.ID,
		Level: request.Level, Group: request.Group, Types: request.Types,
		Patients: len(request.Patients.IDs), Since: request.Since,
	}
}

// HTTPObserver returns what tells the writer about downloads and refusals.
func (w Writer) HTTPObserver() httpadapter.Observer {
	return httpadapter.Observer{
		Downloaded: func(ctx context.Context, d httpadapter.Download) {
			event := ofJob(Download, d.Job)
			event.Remote, event.File, event.Resources = d.Remote, d.File.PublicName, d.File.Count
			event.Bytes, event.Whole, event.Signed = d.Bytes, d.Whole, d.Signed
			w.write(ctx, event)
		},
		Refused: func(ctx context.Context, r httpadapter.Refusal) {
			w.write(ctx, Event{
				Kind: Refused, Caller: r.Caller, Remote: r.Remote, Operation: r.Operation,
				JobID: r.JobID, Level: r.Level, Group: r.Group, File: r.File,
				Status: r.Status, Reason: reason(r),
			})
		},
	}
}

func (w Writer) write(ctx context.Context, event Event) {
	event.At = time.Now().UTC()
	w(context.WithoutCancel(ctx), event)
}

// reason is one of a few words: what else an error says may be more than an audit trail
// should hold.
func reason(r httpadapter.Refusal) string {
	switch {
	case r.Status == http.StatusUnauthorized:
		return "unauthenticated"
	case r.Status == http.StatusTooManyRequests:
		return "throttled"
	case r.Status == http.StatusNotFound:
		return "not-found"
	case errors.Is(r.Err, bulkexport.ErrInsufficientScope):
		return "scope"
	}
	return "forbidden"
}

// Slog returns a writer to a log: a record with the message "audit" for each event, at
// level Info, and Warn for refusals and exports that failed. Zero fields are left out.
func Slog(logger *slog.Logger) Writer {
	return func(ctx context.Context, event Event) {
		level := slog.LevelInfo
		if event.Kind == Refused || event.Kind == Failed {
			level = slog.LevelWarn
		}
		logger.LogAttrs(ctx, level, "audit", event.attrs()...)
	}
}

func (e Event) attrs() []slog.Attr {
	list := []slog.Attr{slog.String("event", string(e.Kind))}
	add := func(there bool, attr slog.Attr) {
		if there {
			list = append(list, attr)
		}
	}
	addText := func(name, text string) { add(text != "", slog.String(name, text)) }
	addText("tenant", e.Caller.Tenant)
	addText("client", e.Caller.Client)
	addText("remote", e.Remote)
	addText("operation", string(e.Operation))
	add(e.Status != 0, slog.Int("status", e.Status))
	addText("reason", e.Reason)
	addText("job", e.JobID)
	addText("export", string(e.Level))
	addText("group", e.Group)
	add(len(e.Types) > 0, slog.Any("types", e.Types))
	add(e.Patients > 0, slog.Int("patients", e.Patients))
	add(!e.Since.IsZero(), slog.Time("since", e.Since))
	addText("file", e.File)
	add(e.Resources > 0, slog.Int64("resources", e.Resources))
	add(e.Bytes > 0, slog.Int64("bytes", e.Bytes))
	add(e.Kind == Download, slog.Bool("whole", e.Whole))
	add(e.Signed, slog.Bool("signed", e.Signed))
	return list
}

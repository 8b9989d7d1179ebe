package bulkexport

import (
	"context"
	"time"
)

// FilterFunc decides about each resource just before it is written: consent,
// attribute-based access, redaction.
//
// It returns resource itself to keep it, other bytes to write those instead,
// and nil to drop it; drops are counted. What it returns must be one complete
// resource of the same type, and stay unchanged until the next call for the
// same part. An error ends the attempt, which is made again later: a consent
// service that is down neither loses nor leaks a resource.
//
// resource is lent: it is one line of valid JSON, not to be changed or kept.
// The function is called from several goroutines at once; a retried part calls
// it again for the same resources, and so does the search for the Provenance of
// those that are exported (includeAssociatedData).
type FilterFunc func(ctx context.Context, job Job, resourceType string, resource []byte) ([]byte, error)

// AttachmentFunc decides about each Attachment just before its resource is
// written, after [FilterFunc]: it may put the data in the place of a URL, or
// make the URL one that clients of the export can use (Bulk Data Access,
// "Attachments"). A Binary that belongs to a patient is not exported as such:
// it is the data of an Attachment, and whether to inline it or to serve it is
// decided here.
//
// It returns attachment itself to keep it, or another JSON object. What is said
// of FilterFunc about lent bytes, errors and goroutines holds here too.
type AttachmentFunc func(ctx context.Context, job Job, resourceType string, attachment []byte) ([]byte, error)

// Observer is told what happens, for metrics and audit. Nil fields are silent.
//
// The functions are called synchronously by the goroutine that did the work,
// several at once: return quickly. Values carry no resource content.
type Observer struct {
	// JobAccepted is called for every accepted kick-off.
	JobAccepted func(ctx context.Context, job Job)
	// JobEnded is called once a job is completed, failed or deleted, by the
	// process that ended it. A completed job that is deleted later ends twice.
	JobEnded func(ctx context.Context, job Job)
	// PartEnded is called after each attempt at a part.
	PartEnded func(ctx context.Context, job Job, attempt PartAttempt)
	// FileCommitted is called for each file once it is part of the export.
	FileCommitted func(ctx context.Context, job Job, file File)
	// FileOpened is called when an output file was opened for download.
	FileOpened func(ctx context.Context, job Job, file OutputFile)
	// CleanedUp is called after each [Exporter.CleanUp] with what the sink holds.
	CleanedUp func(ctx context.Context, storage Storage)
}

// With returns an observer that tells both, o first.
func (o Observer) With(other Observer) Observer {
	return Observer{
		JobAccepted: func(ctx context.Context, job Job) {
			o.jobAccepted(ctx, job)
			other.jobAccepted(ctx, job)
		},
		JobEnded: func(ctx context.Context, job Job) {
			o.jobEnded(ctx, job)
			other.jobEnded(ctx, job)
		},
		PartEnded: func(ctx context.Context, job Job, attempt PartAttempt) {
			o.partEnded(ctx, job, attempt)
			other.partEnded(ctx, job, attempt)
		},
		FileCommitted: func(ctx context.Context, job Job, file File) {
			o.filesCommitted(ctx, job, []File{file})
			other.filesCommitted(ctx, job, []File{file})
		},
		FileOpened: func(ctx context.Context, job Job, file OutputFile) {
			o.fileOpened(ctx, job, file)
			other.fileOpened(ctx, job, file)
		},
		CleanedUp: func(ctx context.Context, storage Storage) {
			o.cleanedUp(ctx, storage)
			other.cleanedUp(ctx, storage)
		},
	}
}

// PartAttempt reports one attempt at a part.
type PartAttempt struct {
	// Part is the part as it was stored last.
	Part Part
	// Took is how long the attempt ran.
	Took time.Duration
	// Err is why it ended early; nil when it finished or yielded.
	Err error
}

func (o Observer) jobAccepted(ctx context.Context, job Job) {
	if o.JobAccepted != nil {
		o.JobAccepted(ctx, job)
	}
}

func (o Observer) jobEnded(ctx context.Context, job Job) {
	if o.JobEnded != nil {
		o.JobEnded(ctx, job)
	}
}

func (o Observer) partEnded(ctx context.Context, job Job, attempt PartAttempt) {
	if o.PartEnded != nil {
		o.PartEnded(ctx, job, attempt)
	}
}

func (o Observer) filesCommitted(ctx context.Context, job Job, files []File) {
	if o.FileCommitted == nil {
		return
	}
	for _, file := range files {
		o.FileCommitted(ctx, job, file)
	}
}

func (o Observer) fileOpened(ctx context.Context, job Job, file OutputFile) {
	if o.FileOpened != nil {
		o.FileOpened(ctx, job, file)
	}
}

func (o Observer) cleanedUp(ctx context.Context, storage Storage) {
	if o.CleanedUp != nil {
		o.CleanedUp(ctx, storage)
	}
}

package bulkexport

import (
	"context"
	"io"
	"iter"
	"time"
)

// OutputSink keeps the files of exports: a directory, a bucket, memory.
//
// What an implementation promises:
//
//   - A file is visible whole or not at all: from Commit on, and never before.
//   - When Commit has returned nil the file survives a crash of the process
//     and of the machine, as far as the medium can.
//   - Files of different jobs cannot reach each other. Job ids consist of at
//     most 64 lower-case letters and digits; names of at most 128 letters,
//     digits, '.', '-' and '_', and do not begin with '.'. An implementation
//     still refuses anything that would leave the job, by an error.
//   - Methods are safe for concurrent use, also on the same job and name.
//
// Package sinktest proves an implementation.
type OutputSink interface {
	// Create begins a new file. Nothing is visible until Commit. When a file of
	// that name exists, Commit replaces it as a whole; of several writers of one
	// name, the last to commit wins. It succeeds also while DeleteJob runs. The
	// context governs the whole life of the writer: when it ends, writing and
	// committing fail.
	Create(ctx context.Context, jobID, name string) (FileWriter, error)

	// Open returns a reader of a committed file. Absent is an error that wraps
	// [ErrFileNotFound]. The reader keeps working when the file is deleted or
	// replaced meanwhile, or fails; it never mixes two contents.
	Open(ctx context.Context, jobID, name string) (FileReader, error)

	// DeleteJob removes all files of the job, committed or abandoned. When there
	// are none it does nothing and returns nil. Writers still open on the job
	// may fail; when one commits later, the file is there until the next
	// DeleteJob.
	DeleteJob(ctx context.Context, jobID string) error
}

// SinkInventory is implemented by a sink that can say what it holds. With it
// files that belong to no export, which a process leaves that dies between
// writing a file and recording it, are found and removed before their job ends,
// and disk use is told, see [Exporter.CleanUp]. Without it they stay until
// their job is deleted or expires.
type SinkInventory interface {
	// Jobs streams the ids of the jobs that have anything in the sink, each once,
	// in any order. The stream ends with the first error.
	Jobs(ctx context.Context) iter.Seq2[string, error]

	// Files streams what the job has in the sink, in any order: committed files,
	// and those in the making or abandoned, as far as they take room. What comes
	// or goes meanwhile may be missing. No such job is an empty stream. The
	// stream ends with the first error.
	Files(ctx context.Context, jobID string) iter.Seq2[StoredFile, error]

	// DeleteFile removes all that has this name in the job: a committed file, and
	// those in the making. Absent is no error. A writer that is open on the name
	// may fail; when it commits later, the file is there again.
	DeleteFile(ctx context.Context, jobID, name string) error
}

// SinkURLs is implemented by a sink whose files clients can fetch without the
// host, by URLs that are the permission themselves: the signed URLs of object
// storage. The manifest then names these, and says that they need no access token
// (Bulk Data Access, "Bulk Data Output File Request", requiresAccessToken). They
// are made anew for each status request.
//
// Downloads by them are between client and storage: who may have the file is not
// asked again, [Observer] is not told, and a download that lasts beyond the export's
// expiry may find its file gone.
type SinkURLs interface {
	// FileURL returns an absolute URL by which anybody can GET the committed file,
	// and when it ends to work: not later than until, but it may be sooner. An empty
	// URL without an error means that this file, or every file, is to be had from
	// the exporter only. It does not ask whether the file is there.
	FileURL(ctx context.Context, jobID, name string, until time.Time) (url string, expires time.Time, err error)
}

// StoredFile is a file in a sink, committed or not.
type StoredFile struct {
	// Name is the name it was created with.
	Name string
	// Size is its length in bytes, as far as it is written.
	Size int64
	// ModTime is when it was written to last, by the clock of the medium; for a
	// committed file it may be the time of the commit.
	ModTime time.Time
	// Committed is false for a file in the making, or abandoned.
	Committed bool
}

// FileWriter is a file in the making. It is used by one goroutine at a time.
// Exactly one of Commit and Abort ends it; calling Abort again, or after
// Commit, does nothing, so that it can be deferred.
type FileWriter interface {
	// Write appends. It takes all of p or returns an error, and does not keep p.
	// After an error the file cannot be committed any more.
	io.Writer
	// Commit makes the file visible under its name, durably. After an error the
	// file is not visible, and Abort is still to be called.
	Commit() error
	// Abort throws the file away and leaves nothing behind.
	Abort() error
}

// FileReader reads one committed file. It is used by one goroutine at a time.
type FileReader interface {
	io.ReadSeekCloser
	// Size returns the length of the file in bytes.
	Size() int64
}

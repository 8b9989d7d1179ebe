package bulkexport

import (
	"context"
	"io"
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

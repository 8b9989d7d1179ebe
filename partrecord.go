package bulkexport

import (
	"slices"
	"time"

	"github.com/samber/lo"
)

// PartKind says what a part reads.
type PartKind string

// The kinds of parts.
const (
	// PartResources reads the resources of one type. It is the usual kind.
	PartResources PartKind = ""
	// PartNotices reports what was ignored, in an error file.
	PartNotices PartKind = "notices"
	// PartDeletions reads what was deleted, of all types.
	PartDeletions PartKind = "deletions"
	// PartProvenance reads the Provenance of exported resources.
	PartProvenance PartKind = "provenance"
	// PartBlocks reads resources by the instance that they belong to.
	PartBlocks PartKind = "blocks"
)

// Part is a key range of one resource type, or something as small: the unit of
// work, of retry and of parallelism. Its files are cut by size, not by part. A
// [JobStore] keeps it; its JSON form is the stored form.
type Part struct {
	// Index is the part's place in the plan, from 0.
	Index int `json:"index"`
	// Kind says what is read.
	Kind PartKind `json:"kind,omitempty"`
	// Type is the resource type: for blocks, that of the instances; empty for
	// notices and deletions.
	Type string `json:"type"`
	// Associated is the value of includeAssociatedData whose source is read;
	// empty for the exporter's own source.
	Associated string `json:"associated,omitempty"`
	// After (exclusive) and UpTo (inclusive) are the range; nil is open.
	After []byte `json:"after,omitempty"`
	UpTo  []byte `json:"upTo,omitempty"`
	// Total is how many resources the source counted, or -1 if it cannot.
	Total int64 `json:"total"`

	// Done is true when the whole range is in committed files.
	Done bool `json:"done"`
	// Cursor is the key of the last resource that is dealt with in committed
	// files; nil before the first.
	Cursor []byte `json:"cursor,omitempty"`
	// Files are the committed files, in order.
	Files []File `json:"files,omitempty"`
	// Processed, Dropped and Errors count resources up to Cursor: all that were
	// read, those that a filter dropped, and those that became error lines.
	Processed int64 `json:"processed"`
	Dropped   int64 `json:"dropped,omitempty"`
	Errors    int64 `json:"errors,omitempty"`
	// Seen is the highest number of resources ever read, for progress: it is
	// ahead of Processed while a file is in the making, and never goes back.
	Seen int64 `json:"seen"`
	// Claim says who writes the part.
	Claim
}

// File is one committed output file.
type File struct {
	// Name is the name in the sink, with part and attempt in it. Clients see
	// another one, see [OutputFiles].
	Name string `json:"name"`
	// Type is the resource type of every line: OperationOutcome for error files,
	// Bundle for deletions. Empty for files in blocks.
	Type string `json:"type"`
	// Kind says in which list of the manifest the file stands.
	Kind FileKind `json:"kind"`
	// Count is the number of lines, never 0. Size is their length in bytes.
	Count int64 `json:"count"`
	Size  int64 `json:"size"`
	// SHA256 is the hash of the content in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Gzip is nil if the sink has the lines as they are. If it has them as gzip,
	// see [Config.GzipLevel], these are the lengths of its pieces: each stands for
	// 1 MiB of lines, the last one for the rest, and can be inflated without those
	// before. Size and SHA256 are those of the lines.
	Gzip []int64 `json:"gzip,omitempty"`
	// Severities counts the issues of an error file by their severity.
	Severities map[string]int64 `json:"severities,omitempty"`
	// ContinuedBy is the Name of the file in which the last block of this one
	// goes on; empty if it is whole.
	ContinuedBy string `json:"continuedBy,omitempty"`
}

// StoredSize returns the length of the file in the sink, in bytes.
func (f File) StoredSize() int64 {
	if f.Gzip == nil {
		return f.Size
	}
	return lo.Sum(f.Gzip)
}

// FileKind is the list of the manifest that a file stands in.
type FileKind string

// The kinds of files.
const (
	FileOutput  FileKind = "output"
	FileDeleted FileKind = "deleted"
	FileError   FileKind = "error"
)

// claim gives the part to a new attempt.
func (p *Part) claim(j Job, now time.Time, lease time.Duration, maxAttempts int) error {
	switch {
	case j.State != JobRunning:
		return errJobOver
	case p.Done:
		return errPartDone
	}
	return p.take(now, lease, maxAttempts)
}

// hold checks that the attempt may still update the part.
func (p *Part) hold(j Job, attempt int) error {
	switch {
	case j.State != JobRunning:
		return errJobOver
	case p.Done || p.Attempt != attempt:
		return errFenced
	}
	return nil
}

func (p *Part) renew(j Job, attempt int, seen int64, until time.Time) error {
	if p.Done && p.Attempt == attempt {
		return nil // the last commit was faster
	}
	if err := p.hold(j, attempt); err != nil {
		return err
	}
	p.LeaseUntil = until
	p.Seen = max(p.Seen, seen)
	return nil
}

// progress is what an attempt adds to its part in one commit.
type partProgress struct {
	files                      []File
	cursor                     []byte
	processed, dropped, errors int64
	// passed counts those without a line, since the last commit.
	passed int64
	done   bool
}

func (p *Part) commit(j Job, attempt int, add partProgress, until time.Time) error {
	if err := p.hold(j, attempt); err != nil {
		return err
	}
	p.Files = append(slices.Clone(p.Files), add.files...)
	if len(add.cursor) > 0 {
		p.Cursor = slices.Clone(add.cursor)
	}
	p.Processed += add.processed
	p.Dropped += add.dropped
	p.Errors += add.errors
	p.Seen = max(p.Seen, p.Processed)
	p.achieved(until)
	if add.done {
		p.Done = true
		p.LeaseUntil = time.Time{}
	}
	return nil
}

// giveBack ends an attempt before the part is done, also that of a job which is
// over.
func (p *Part) giveBack(attempt int, now time.Time, failed bool) error {
	if p.Done || p.Attempt != attempt {
		return errFenced
	}
	p.release(now, failed)
	return nil
}

package bulkexport

import (
	"crypto/rand"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"
)

// JobState is where an export job is in its life:
//
//	accepted ──plan──► running ──all parts done──► completed
//	    │                 │                            │
//	    └────────┬────────┘                            │
//	             ▼                                     ▼
//	          failed ────────── delete ──────────► deleted ──► (gone)
//
// Every state but deleted can be deleted; deleted is for the clean-up only.
type JobState string

// The states of a job.
const (
	JobAccepted  JobState = "accepted"
	JobRunning   JobState = "running"
	JobCompleted JobState = "completed"
	JobFailed    JobState = "failed"
	JobDeleted   JobState = "deleted"
)

// Ended reports whether no more files will come.
func (s JobState) Ended() bool {
	return s == JobCompleted || s == JobFailed || s == JobDeleted
}

// Job is the record of one export. A [JobStore] keeps it; its JSON form is the
// stored form and stays readable for later versions. All times are UTC.
type Job struct {
	// ID is unguessable: 26 lower-case letters and digits with 130 random bits.
	ID string `json:"id"`
	// Tenant and Client say who owns the job. Nobody else ever sees it.
	Tenant string `json:"tenant"`
	Client string `json:"client"`
	// Request is what was asked for.
	Request ExportRequest `json:"request"`
	// State is the job's state.
	State JobState `json:"state"`
	// CreatedAt is the time of the kick-off.
	CreatedAt time.Time `json:"createdAt"`
	// StartedAt is when the plan was made; zero before.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// EndedAt is when the job was completed, failed or deleted; zero before.
	EndedAt time.Time `json:"endedAt,omitzero"`
	// Deadline is when the job fails if it has not ended; zero is never.
	Deadline time.Time `json:"deadline,omitzero"`
	// ExpiresAt is when job and files are gone for clients, and may be removed;
	// zero while running.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`
	// ReadUntil is until when files stay although they have expired, for a client
	// that had begun to read one; zero if none had.
	ReadUntil time.Time `json:"readUntil,omitzero"`
	// Size is the length of all files in bytes; 0 until the job is completed.
	Size int64 `json:"size,omitempty"`
	// TransactionTime bounds every read (Bulk Data Access, "Response - Complete
	// Status", transactionTime). It has milliseconds, is set once, before the
	// first read, and is zero until then.
	TransactionTime time.Time `json:"transactionTime,omitzero"`
	// Consistency is what the source declared when the job was planned.
	Consistency Consistency `json:"consistency,omitempty"`
	// PublishedAt is when a client was first shown a page of the manifest while
	// the export ran; zero if none was.
	PublishedAt time.Time `json:"publishedAt,omitzero"`
	// FailureReason is a sentence for the client; empty unless failed.
	FailureReason string `json:"failureReason,omitempty"`
	// Claim says who plans the export.
	Claim
}

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
	// Count is the number of lines, never 0. Size is the length in bytes.
	Count int64 `json:"count"`
	Size  int64 `json:"size"`
	// SHA256 is the hash of the content in lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Severities counts the issues of an error file by their severity.
	Severities map[string]int64 `json:"severities,omitempty"`
	// ContinuedBy is the Name of the file in which the last block of this one
	// goes on; empty if it is whole.
	ContinuedBy string `json:"continuedBy,omitempty"`
}

// FileKind is the list of the manifest that a file stands in.
type FileKind string

// The kinds of files.
const (
	FileOutput  FileKind = "output"
	FileDeleted FileKind = "deleted"
	FileError   FileKind = "error"
)

// What a worker is told when its update may not be made.
var (
	errJobOver   = errors.New("job takes no more updates")
	errPartDone  = errors.New("part is done")
	errTaken     = errors.New("a live attempt is at work")
	errTooEarly  = errors.New("the pause after a failed attempt is not over")
	errFenced    = errors.New("a later attempt is at work")
	errExhausted = errors.New("all attempts are used up")
	errHopeless  = errors.New("no further attempt would succeed")
	errOverdue   = errors.New("the export takes too long")
	errLateError = errors.New("an error came after a page of the manifest was shown")
)

var jobIDPattern = regexp.MustCompile(`^[a-z2-7]{26}$`)

// ValidJobID reports whether s has the form of a job id. Anything else cannot
// name a job and need not be looked up.
func ValidJobID(s string) bool { return jobIDPattern.MatchString(s) }

func newJobID() string { return strings.ToLower(rand.Text()) }

// visibleTo reports whether the caller may know that the job exists.
func (j *Job) visibleTo(c Caller, now time.Time) bool {
	return j.Tenant == c.Tenant && j.Client == c.Client && j.State != JobDeleted && !j.expired(now)
}

func (j *Job) expired(now time.Time) bool {
	return j.State.Ended() && !now.Before(j.ExpiresAt)
}

func (j *Job) overdue(now time.Time) bool {
	return !j.State.Ended() && !j.Deadline.IsZero() && !now.Before(j.Deadline)
}

func (j *Job) beginPlan(now time.Time, lease time.Duration, maxAttempts int) error {
	if j.State != JobAccepted {
		return errJobOver
	}
	return j.take(now, lease, maxAttempts)
}

// holdPlan checks that the attempt may still plan.
func (j *Job) holdPlan(attempt int) error {
	switch {
	case j.State != JobAccepted:
		return errJobOver
	case j.Attempt != attempt:
		return errFenced
	}
	return nil
}

func (j *Job) renewPlan(attempt int, until time.Time) error {
	if j.State == JobRunning && j.Attempt == attempt {
		return nil // the plan was made meanwhile
	}
	if err := j.holdPlan(attempt); err != nil {
		return err
	}
	j.LeaseUntil = until
	return nil
}

// fixTime sets transactionTime, rounded down to the milliseconds that the
// client will see, so that what it is told is never later than what is read.
func (j *Job) fixTime(attempt int, t time.Time, c Consistency) error {
	if err := j.holdPlan(attempt); err != nil {
		return err
	}
	if j.TransactionTime.IsZero() {
		j.TransactionTime = t.UTC().Truncate(time.Millisecond)
		j.Consistency = c
	}
	return nil
}

func (j *Job) run(attempt int, now time.Time) error {
	if err := j.holdPlan(attempt); err != nil {
		return err
	}
	j.State = JobRunning
	j.StartedAt = now
	j.achieved(time.Time{})
	return nil
}

// publish notes that a page was shown.
func (j *Job) publish(now time.Time) error {
	switch {
	case j.State != JobRunning:
		return errJobOver
	case j.PublishedAt.IsZero():
		j.PublishedAt = now
	}
	return nil
}

func (j *Job) complete(size int64, now time.Time, ttl time.Duration) error {
	if j.State != JobRunning {
		return errJobOver
	}
	j.State = JobCompleted
	j.Size = size
	j.EndedAt, j.ExpiresAt = now, now.Add(ttl)
	return nil
}

func (j *Job) fail(reason string, now time.Time, ttl time.Duration) error {
	if j.State.Ended() {
		return errJobOver
	}
	j.State = JobFailed
	j.FailureReason = reason
	j.EndedAt, j.ExpiresAt = now, now.Add(ttl)
	return nil
}

// read keeps the files of an export for a client that reads one, but for no
// longer after the expiry than before it.
func (j *Job) read(until time.Time) error {
	if j.State != JobCompleted {
		return errJobOver
	}
	if latest := j.ExpiresAt.Add(j.ExpiresAt.Sub(j.EndedAt)); until.After(latest) {
		until = latest
	}
	if until.After(j.ReadUntil) {
		j.ReadUntil = until
	}
	return nil
}

// removable reports whether the files of an ended job are of no use any more.
func (j *Job) removable(now time.Time) bool {
	return j.State == JobDeleted || j.expired(now) && !now.Before(j.ReadUntil)
}

// markDeleted is final: whatever comes later finds no job.
func (j *Job) markDeleted(now time.Time) error {
	if j.State == JobDeleted {
		return errJobOver
	}
	j.State = JobDeleted
	j.EndedAt = now
	return nil
}

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

// dueTasks says what has to be done next for a job, as of now. Whoever
// performs the tasks may be told of them any number of times.
func dueTasks(j Job, parts []Part, now time.Time) []Task {
	task := Task{JobID: j.ID, Tenant: j.Tenant}
	switch {
	case j.removable(now):
		task.Kind = TaskDelete
		return []Task{task}
	case j.overdue(now):
		task.Kind = TaskFinish
		return []Task{task}
	case j.State == JobAccepted && j.due(now):
		task.Kind = TaskPlan
		return []Task{task}
	case j.State != JobRunning:
		return nil
	}
	var tasks []Task
	open := 0
	for _, p := range parts {
		if p.Done {
			continue
		}
		open++
		if p.due(now) {
			tasks = append(tasks, Task{Kind: TaskPart, JobID: j.ID, Tenant: j.Tenant, Part: p.Index})
		}
	}
	if open == 0 {
		task.Kind = TaskFinish
		return []Task{task}
	}
	return tasks
}

// abandoned reports whether no live attempt can still write files of the job.
func abandoned(parts []Part, now time.Time) bool {
	return !slices.ContainsFunc(parts, func(p Part) bool { return now.Before(p.LeaseUntil) })
}

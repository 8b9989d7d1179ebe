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
	// Resources is how many resources the files of the export have; 0 until the job is
	// completed. One that is in several blocks counts for each.
	Resources int64 `json:"resources,omitempty"`
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

func (j *Job) owner() Caller { return Caller{Tenant: j.Tenant, Client: j.Client} }

// visibleTo reports whether the caller may know that the job exists.
func (j *Job) visibleTo(c Caller, now time.Time) bool {
	return j.owner() == c && j.State != JobDeleted && !j.expired(now)
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

func (j *Job) complete(size, resources int64, now time.Time, ttl time.Duration) error {
	if j.State != JobRunning {
		return errJobOver
	}
	j.State = JobCompleted
	j.Size, j.Resources = size, resources
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

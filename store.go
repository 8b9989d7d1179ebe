package bulkexport

import (
	"context"
	"time"
)

// JobStore remembers jobs and their parts. It knows nothing of what they mean:
// every rule (who may claim, what may follow what) is in the function that an
// update is given, so an adapter only has to run that function atomically.
//
// What an implementation promises:
//
//   - Methods are safe for concurrent use, and between processes if the store
//     is shared by them.
//   - What it takes and what it returns are copies: changing a slice or a map
//     afterwards on one side does not change the other.
//   - Times come back in UTC, equal to the microsecond at least; zero stays zero.
//   - Read after write: a call that starts after another returned sees its
//     effect, from any process. Calls at once on one job are answered as if one
//     came after the other. When a method has returned nil its effect survives
//     a crash of the process.
//   - Calls that conflict wait for each other or are tried again, for seconds if
//     need be, before one fails for it.
//   - A context that ends makes the call fail with an error that wraps the
//     context's.
//
// Job ids have the form that [ValidJobID] tells; other strings are UTF-8 without
// NUL. Look-ups may carry anything: what cannot be an id is absent. Keys in parts
// are any bytes; nil stays nil, which means an open range.
//
// Package storetest proves an implementation.
type JobStore interface {
	// CreateJob stores a new job. A taken id is [ErrJobExists].
	CreateJob(ctx context.Context, job Job) error

	// Job returns a job without its parts. Absent is [ErrJobNotFound].
	Job(ctx context.Context, id string) (Job, error)

	// UpdateJob reads the job, calls fn with it, and stores what fn made of it,
	// all or nothing, with no other update of the job in between. It returns the
	// job as stored. Absent is [ErrJobNotFound], and fn is not called.
	//
	// An error from fn leaves the job as it was and is returned such that
	// errors.Is and errors.As find it. fn may be called again when the
	// attempt conflicted with another; it must not call the store, and must not
	// change ID or Tenant.
	UpdateJob(ctx context.Context, id string, fn func(*Job) error) (Job, error)

	// Jobs returns jobs that match the filter, in ascending order of id, byte by
	// byte.
	Jobs(ctx context.Context, filter JobFilter) ([]Job, error)

	// DeleteJob removes a job and its parts. Absent is no error.
	DeleteJob(ctx context.Context, id string) error

	// SetParts stores the plan of a job, once: when the job has parts already it
	// changes nothing and returns nil. All parts appear together or not at all.
	// Part.Index runs from 0 without gaps. No parts are no plan: a later call may
	// set some. Absent job is [ErrJobNotFound].
	SetParts(ctx context.Context, jobID string, parts []Part) error

	// Parts returns the parts of a job in order of Index; none is an empty
	// slice. Absent job is [ErrJobNotFound].
	Parts(ctx context.Context, jobID string) ([]Part, error)

	// UpdatePart is UpdateJob for one part: it reads job and part, calls fn with
	// both, and stores the part (not the job). The job that fn sees is the stored
	// one: no update of that job is committed between fn's reading it and the
	// part's being stored. Updates of different parts do not wait for each
	// other longer than a write takes. fn must not change Index. Absent job is [ErrJobNotFound], absent
	// part [ErrPartNotFound].
	UpdatePart(ctx context.Context, jobID string, index int, fn func(Job, *Part) error) (Part, error)
}

// StoreRevisions is implemented by a [JobStore] that can tell, for less than it
// takes to read it, whether anything of a job has changed. With it most polls of
// a running export read neither the job nor its parts.
type StoreRevisions interface {
	// Revision returns a number that grows with each UpdateJob, UpdatePart and
	// SetParts of the job that stores something, for as long as the job is there.
	// Absent is [ErrJobNotFound]. After any error the job is read as if there was no
	// such method.
	Revision(ctx context.Context, id string) (int64, error)
}

// StoreClock is implemented by a [JobStore] that has a clock which all processes
// can ask. With it they agree on the time, however wrong the clocks of their
// machines are: leases, pauses and expiries go by it.
type StoreClock interface {
	// Time returns the store's present time. An error that wraps
	// [errors.ErrUnsupported] means that it has none after all.
	Time(ctx context.Context) (time.Time, error)
}

// JobFilter selects jobs. Zero fields select all.
type JobFilter struct {
	// States selects jobs in one of these states.
	States []JobState
	// Tenant, if not nil, selects jobs of this tenant (which may be "").
	Tenant *string
	// ExpiredBy, if not zero, selects jobs whose ExpiresAt is set and not later.
	ExpiredBy time.Time
	// After selects jobs with a greater id: the last one of the page before.
	After string
	// Limit bounds the number of jobs returned; 0 means no bound.
	Limit int
}

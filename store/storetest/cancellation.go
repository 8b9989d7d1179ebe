package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/bulkexport/bulkexport"
)

func cancellationCases() []testCase {
	return []testCase{
		{Cancellation, "a cancelled context ends every call", alone(cancelled)},
		{Cancellation, "a passed deadline ends every call", alone(deadline)},
		{Cancellation, "a context that ends within an update", alone(cancelWithin)},
		{Cancellation, "a context that ends within an update of a part", alone(cancelWithinPart)},
	}
}

// allCalls are all methods. CreateJob and DeleteJob have nothing to do with
// the job of the other calls, so that it shows what those have changed.
func allCalls() []call {
	return append(jobCalls(func(string) {}),
		call{"CreateJob", func(ctx context.Context, s bulkexport.JobStore, _ string) error {
			return s.CreateJob(ctx, newJob(1))
		}},
		call{"Jobs", func(ctx context.Context, s bulkexport.JobStore, _ string) error {
			_, err := s.Jobs(ctx, bulkexport.JobFilter{})
			return err
		}},
		call{"DeleteJob", func(ctx context.Context, s bulkexport.JobStore, _ string) error {
			return s.DeleteJob(ctx, jobID(2))
		}},
	)
}

func wantEnded(t tester, s bulkexport.JobStore, end func(context.Context) context.Context) {
	t.Helper()
	ctx := end(t.Context())
	planned, unplanned := createJob(t, s, 0, 2), createJob(t, s, 3, 0)
	createJob(t, s, 2, 0)
	for _, c := range allCalls() {
		wantErr(t, c.name+": an ended context ends the call", c.do(ctx, s, planned.ID), ctx.Err())
	}
	wantErr(t, "SetParts: an ended context ends the call",
		s.SetParts(ctx, unplanned.ID, newPlan(2, "Patient")), ctx.Err())

	wantJobs(t, s, "a call whose context has ended stores nothing", bulkexport.JobFilter{}, 0, 2, 3)
	wantSame(t, "UpdateJob: stores nothing when the context has ended",
		mustGet(t, s, planned.ID), planned)
	wantSame(t, "UpdatePart: stores nothing when the context has ended",
		mustParts(t, s, planned.ID, 2), newPlan(2, "Patient"))
	mustParts(t, s, unplanned.ID, 0)
}

func cancelled(t tester, s bulkexport.JobStore) {
	wantEnded(t, s, func(ctx context.Context) context.Context {
		// The cause is beside the point: callers look for the context's error.
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(errors.New("another cause"))
		return ctx
	})
}

func deadline(t tester, s bulkexport.JobStore) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	wantEnded(t, s, func(context.Context) context.Context { return ctx })
}

// cancelWithin leaves open whether the update is still made: but what is
// returned and what is stored must agree.
func cancelWithin(t tester, s bulkexport.JobStore) {
	want := createJob(t, s, 0, 0)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := s.UpdateJob(ctx, want.ID, func(j *bulkexport.Job) error {
		j.Failures = 7
		cancel()
		return nil
	})
	if err == nil {
		want.Failures = 7
	} else {
		wantErr(t, "UpdateJob: the error says that the context has ended", err, context.Canceled)
	}
	wantSame(t, "UpdateJob: stores what it says it has stored", mustGet(t, s, want.ID), want)
}

func cancelWithinPart(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 1)
	want := newPlan(1, "Patient")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := s.UpdatePart(ctx, job.ID, 0, func(_ bulkexport.Job, p *bulkexport.Part) error {
		p.Failures = 7
		cancel()
		return nil
	})
	if err == nil {
		want[0].Failures = 7
	} else {
		wantErr(t, "UpdatePart: the error says that the context has ended", err, context.Canceled)
	}
	wantSame(t, "UpdatePart: stores what it says it has stored", mustParts(t, s, job.ID, 1), want)
}

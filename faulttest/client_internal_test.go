package faulttest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// TestWhatAClientMustNotSee has pairs of statuses that only a broken exporter
// gives, which the parts of a harness cannot make of one that is not.
func TestWhatAClientMustNotSee(t *testing.T) {
	t.Parallel()
	status := func(state bulkexport.JobState, done int64, at int) bulkexport.Status {
		s := bulkexport.Status{Job: bulkexport.Job{State: state, TransactionTime: time.Unix(int64(at), 0)}}
		s.Progress = bulkexport.Progress{Done: done, Total: 10, Complete: state == bulkexport.JobCompleted}
		return s
	}
	with := func(s bulkexport.Status, page int, names ...string) bulkexport.Status {
		s.Ready, s.Page = true, page
		for _, name := range names {
			s.Files = append(s.Files, bulkexport.OutputFile{PublicName: name})
		}
		return s
	}
	partial := func(s bulkexport.Status) bulkexport.Status {
		s.Job.Request.AllowPartial = true
		return s
	}
	const running, completed = bulkexport.JobRunning, bulkexport.JobCompleted
	atEnd := status(running, 5, 1)
	atEnd.Progress.Complete = true
	for name, c := range map[string]struct {
		before, after bulkexport.Status
		want          Invariant
	}{
		"less is done":            {status(running, 5, 1), status(running, 4, 1), Progress},
		"the end before the end":  {status(running, 5, 1), atEnd, Progress},
		"another transactionTime": {status(running, 5, 1), status(running, 5, 2), OneTime},
		"it runs again":           {status(bulkexport.JobFailed, 0, 1), status(running, 5, 1), Final},
		"it has failed":           {status(running, 5, 1), status(bulkexport.JobFailed, 0, 1), Ends},
		"a file while it runs":    {status(running, 5, 1), with(status(running, 5, 1), 1, "a"), Hidden},
		"another file":            {with(status(completed, 10, 1), 1, "a"), with(status(completed, 10, 1), 1, "b"), Final},
		"a file less":             {with(status(completed, 10, 1), 1, "a"), with(status(completed, 10, 1), 1), Final},
		"another page while it ran": {
			partial(with(status(running, 5, 1), 1, "a")), partial(with(status(completed, 10, 1), 1, "a", "b")), Final,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look := client{shown: map[int][]file{}}
			look.compare(c.before)
			look.faults, look.last = nil, c.before
			look.compare(c.before)
			if c.before.Job.State != bulkexport.JobFailed {
				require.NoError(t, look.fault())
			}
			look.faults = nil
			look.compare(c.after)
			require.ErrorContains(t, look.fault(), string(c.want)+": ")
		})
	}
}

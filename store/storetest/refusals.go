package storetest

import (
	"errors"

	"github.com/bulkexport/bulkexport"
)

func refusalCases() []testCase {
	return []testCase{
		{Refusals, "a refused update of a job changes nothing", alone(refuseJob)},
		{Refusals, "a refused update of a part changes nothing", alone(refusePart)},
		{Refusals, "the refusal is found in the error", alone(findRefusal)},
	}
}

// errRefused and refusal are what functions of updates return here.
var errRefused = errors.New("refused by the function of the update")

type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

// refuseJob also overwrites slices in place, which a store that copies the job by
// assignment would not undo.
func refuseJob(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	got, err := s.UpdateJob(t.Context(), jobID(0), func(j *bulkexport.Job) error {
		scribble(t, j)
		j.State, j.Failures = bulkexport.JobDeleted, -1
		return errRefused
	})
	wantErr(t, "UpdateJob: the error of fn is returned", err, errRefused)
	wantSame(t, "UpdateJob: nothing is returned beside an error", got, bulkexport.Job{})
	wantStored(t, s, "UpdateJob: an error of fn leaves the job as it was", 0)
}

func refusePart(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	got, err := s.UpdatePart(t.Context(), jobID(0), 0,
		func(j bulkexport.Job, p *bulkexport.Part) error {
			scribble(t, &j)
			scribble(t, p)
			p.Done, p.Attempt = false, -1
			return errRefused
		})
	wantErr(t, "UpdatePart: the error of fn is returned", err, errRefused)
	wantSame(t, "UpdatePart: nothing is returned beside an error", got, bulkexport.Part{})
	wantStoredPart(t, s, "UpdatePart: an error of fn leaves the part as it was", 0)
	wantStored(t, s, "UpdatePart: an error of fn leaves the job as it was", 0)
}

func findRefusal(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	reason := &refusal{reason: "a typed refusal"}
	_, jobErr := s.UpdateJob(t.Context(), jobID(0), func(*bulkexport.Job) error { return reason })
	_, partErr := s.UpdatePart(t.Context(), jobID(0), 0,
		func(bulkexport.Job, *bulkexport.Part) error { return reason })
	for method, err := range map[string]error{"UpdateJob": jobErr, "UpdatePart": partErr} {
		var found *refusal
		if !errors.As(err, &found) || found != reason {
			t.Errorf("%s: errors.As finds the error of fn: got %v", method, err)
		}
	}
}

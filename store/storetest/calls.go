package storetest

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// method names a method of the contract. Reopen is none: it stands for a process
// that starts in the middle.
type method string

const (
	callCreate     method = "CreateJob"
	callJob        method = "Job"
	callUpdate     method = "UpdateJob"
	callList       method = "Jobs"
	callDelete     method = "DeleteJob"
	callPlan       method = "SetParts"
	callParts      method = "Parts"
	callUpdatePart method = "UpdatePart"
	callReopen     method = "Reopen"
)

// randomCall is a call as data, so that it can be made on a store, asked of the
// model, made smaller and shown.
type randomCall struct {
	method method
	// rival makes the call on the rival instead of the first store.
	rival bool
	// job is the job's place in the series, part the index of its part.
	job, part int
	tenant    string
	// edits are what CreateJob sets, or what the function of an update changes
	// before it returns, with refuse, an error.
	edits  []edit
	refuse bool
	plan   [][]edit
	// filter is that of Jobs; After is the id of the job at after.
	filter bulkexport.JobFilter
	after  int
}

// idSeries is where a run takes its ids from. They ascend from run to run, so that
// nothing is seen of the runs before.
type idSeries int

const jobsPerSeries = 3

// id returns the id of a job; that of -1 comes before all others.
func (s idSeries) id(job int) string { return jobID(int(s)*(jobsPerSeries+1) + job + 1) }

// named puts names in the place of ids, which differ from run to run.
func (s idSeries) named(text string) string {
	for job := range jobsPerSeries {
		text = strings.ReplaceAll(text, s.id(job), fmt.Sprintf("job %d", job))
	}
	return text
}

// answer is what came of a call, as far as it is an answer of the contract.
type answer struct {
	err   error
	jobs  []bulkexport.Job
	parts []bulkexport.Part
	// sawJobs and sawParts are what the function of an update saw, the last time
	// that it was called.
	sawJobs  []bulkexport.Job
	sawParts []bulkexport.Part
}

func (c randomCall) newJob(id string) bulkexport.Job {
	job := bulkexport.Job{ID: id, Tenant: c.tenant}
	apply(c.edits, &job)
	return job
}

func (c randomCall) newPlan() []bulkexport.Part {
	parts := make([]bulkexport.Part, len(c.plan))
	for i, edits := range c.plan {
		parts[i].Index = i
		apply(edits, &parts[i])
	}
	return parts
}

func (c randomCall) changeJob(job *bulkexport.Job) error {
	apply(c.edits, job)
	if c.refuse {
		return errRefused
	}
	return nil
}

// changePart refuses, as a worker does, what comes after the deletion.
func (c randomCall) changePart(job bulkexport.Job, part *bulkexport.Part) error {
	apply(c.edits, part)
	if c.refuse || job.State == bulkexport.JobDeleted {
		return errRefused
	}
	return nil
}

// filterIn returns the filter for a store. It never selects jobs of an earlier
// series.
func (c randomCall) filterIn(ids idSeries) bulkexport.JobFilter {
	f := c.filter
	f.After = ids.id(c.after)
	return f
}

// on makes the call.
func (c randomCall) on(ctx context.Context, s bulkexport.JobStore, ids idSeries) (got answer) {
	id := ids.id(c.job)
	switch c.method {
	case callCreate:
		got.err = s.CreateJob(ctx, c.newJob(id))
	case callJob:
		got.jobs = make([]bulkexport.Job, 1)
		got.jobs[0], got.err = s.Job(ctx, id)
	case callUpdate:
		got.jobs = make([]bulkexport.Job, 1)
		got.jobs[0], got.err = s.UpdateJob(ctx, id, func(job *bulkexport.Job) error {
			got.sawJobs = []bulkexport.Job{*job}
			runtime.Gosched()
			return c.changeJob(job)
		})
	case callList:
		got.jobs, got.err = s.Jobs(ctx, c.filterIn(ids))
	case callDelete:
		got.err = s.DeleteJob(ctx, id)
	case callPlan:
		got.err = s.SetParts(ctx, id, c.newPlan())
	case callParts:
		got.parts, got.err = s.Parts(ctx, id)
	case callUpdatePart:
		got.parts = make([]bulkexport.Part, 1)
		got.parts[0], got.err = s.UpdatePart(ctx, id, c.part,
			func(job bulkexport.Job, part *bulkexport.Part) error {
				got.sawJobs, got.sawParts = []bulkexport.Job{job}, []bulkexport.Part{*part}
				runtime.Gosched()
				return c.changePart(job, part)
			})
	case callReopen:
	}
	if got.err != nil {
		got.jobs, got.parts = nil, nil
	}
	return got
}

func (c randomCall) String() string {
	var args []string
	arg := func(format string, values ...any) { args = append(args, fmt.Sprintf(format, values...)) }
	switch c.method {
	case callList:
		arg("%s", describeFilter(c.filter, c.after))
	case callUpdatePart:
		arg("job %d, part %d", c.job, c.part)
	case callReopen:
	default:
		arg("job %d", c.job)
	}
	if c.method == callCreate {
		arg("Tenant=%s", describe(c.tenant))
	}
	for _, e := range c.edits {
		arg("%s", e)
	}
	if c.method == callPlan {
		arg("%d parts", len(c.plan))
	}
	for i, edits := range c.plan {
		for _, e := range edits {
			arg("%d.%s", i, e)
		}
	}
	if c.refuse {
		arg("then refuse")
	}
	text := string(c.method) + "(" + strings.Join(args, ", ") + ")"
	if c.rival {
		text = "rival." + text
	}
	return text
}

func describeFilter(f bulkexport.JobFilter, after int) string {
	var set []string
	if len(f.States) > 0 {
		set = append(set, "States="+describe(f.States))
	}
	if f.Tenant != nil {
		set = append(set, "Tenant="+describe(*f.Tenant))
	}
	if !f.ExpiredBy.IsZero() {
		set = append(set, "ExpiredBy="+describe(f.ExpiredBy))
	}
	if after >= 0 {
		set = append(set, fmt.Sprintf("After=job %d", after))
	}
	if f.Limit > 0 {
		set = append(set, fmt.Sprintf("Limit=%d", f.Limit))
	}
	return strings.Join(set, ", ")
}

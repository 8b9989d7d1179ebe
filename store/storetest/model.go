package storetest

import (
	"slices"

	"github.com/bulkexport/bulkexport"
)

// record is a job with its parts, or the absence of one, as the contract has
// it. It is never changed, only replaced.
type record struct {
	exists bool
	job    bulkexport.Job
	parts  []bulkexport.Part
}

// model is a store as the contract has it.
type model [jobsPerSeries]record

// answer makes the call on the model.
func (m *model) answer(c randomCall, ids idSeries) (want answer) {
	switch c.method {
	case callReopen:
	case callList:
		for _, r := range m {
			one, _ := r.answer(c, ids)
			want.jobs = append(want.jobs, one.jobs...)
		}
		if c.filter.Limit > 0 {
			want.jobs = want.jobs[:min(len(want.jobs), c.filter.Limit)]
		}
	default:
		want, m[c.job] = m[c.job].answer(c, ids)
	}
	return want
}

// answer returns what the call has to return, and what becomes of the record.
// Jobs is asked for this job only.
func (r record) answer(c randomCall, ids idSeries) (answer, record) {
	switch c.method {
	case callCreate:
		if r.exists {
			return answer{err: bulkexport.ErrJobExists}, r
		}
		return answer{}, record{exists: true, job: c.newJob(ids.id(c.job))}
	case callDelete:
		return answer{}, record{}
	case callList:
		if r.exists && selected(c.filterIn(ids), r.job) {
			return answer{jobs: []bulkexport.Job{r.job}}, r
		}
		return answer{}, r
	default: // needs the job
	}
	if !r.exists {
		return answer{err: bulkexport.ErrJobNotFound}, r
	}
	switch c.method {
	case callJob:
		return answer{jobs: []bulkexport.Job{r.job}}, r
	case callParts:
		return answer{parts: r.parts}, r
	case callPlan:
		if len(r.parts) == 0 {
			r.parts = c.newPlan()
		}
		return answer{}, r
	case callUpdate:
		return r.updateJob(c)
	default:
		return r.updatePart(c)
	}
}

func (r record) updateJob(c randomCall) (answer, record) {
	got := answer{sawJobs: []bulkexport.Job{r.job}}
	changed := r.job
	if got.err = c.changeJob(&changed); got.err != nil {
		return got, r
	}
	r.job = changed
	got.jobs = []bulkexport.Job{changed}
	return got, r
}

func (r record) updatePart(c randomCall) (answer, record) {
	if c.part < 0 || c.part >= len(r.parts) {
		return answer{err: bulkexport.ErrPartNotFound}, r
	}
	changed := r.parts[c.part]
	got := answer{sawJobs: []bulkexport.Job{r.job}, sawParts: []bulkexport.Part{changed}}
	if got.err = c.changePart(r.job, &changed); got.err != nil {
		return got, r
	}
	r.parts = slices.Clone(r.parts)
	r.parts[c.part] = changed
	got.parts = []bulkexport.Part{changed}
	return got, r
}

func selected(f bulkexport.JobFilter, job bulkexport.Job) bool {
	expired := !job.ExpiresAt.IsZero() && !job.ExpiresAt.After(f.ExpiredBy)
	return job.ID > f.After &&
		(len(f.States) == 0 || slices.Contains(f.States, job.State)) &&
		(f.Tenant == nil || *f.Tenant == job.Tenant) &&
		(f.ExpiredBy.IsZero() || expired)
}

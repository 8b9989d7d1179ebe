package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// The cases with random calls.
const (
	randomly         = "sequences/random calls are answered as the contract says"
	randomlyReopened = "persistence/random calls on stores that come and go are answered as by one"
	randomlyAtOnce   = "atomicity/random calls at once are answered as if one came after the other"
)

// subtleStores are right in what most callers do most of the time.
func subtleStores() []brokenStore {
	return []brokenStore{
		{"the job named by After is listed", breaking(func(s *faulty) {
			s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
				after, limit := f.After, f.Limit
				f.After, f.Limit = "", 0
				jobs, err := s.Store.Jobs(ctx, f)
				jobs = slices.DeleteFunc(jobs, func(j bulkexport.Job) bool { return j.ID < after })
				if limit > 0 {
					jobs = jobs[:min(limit, len(jobs))]
				}
				return jobs, err
			}
		}), []string{randomly}},
		{"a refused update of a job is stored", breaking(func(s *faulty) {
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (job bulkexport.Job, err error) {
				_, storeErr := s.Store.UpdateJob(ctx, id, func(j *bulkexport.Job) error {
					err = fn(j)
					job = *j
					return nil
				})
				return job, errors.Join(err, storeErr)
			}
		}), []string{randomly, randomlyAtOnce}},
		{"a refused update of a part is stored", breaking(func(s *faulty) {
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (part bulkexport.Part, err error) {
				_, storeErr := s.Store.UpdatePart(ctx, id, i, func(j bulkexport.Job, p *bulkexport.Part) error {
					err = fn(j, p)
					part = *p
					return nil
				})
				return part, errors.Join(err, storeErr)
			}
		}), []string{randomly, randomlyAtOnce}},
		{"what is looked up by expiry outlives the job", breaking(staleExpiry), []string{randomly}},
		{"a refusal takes the update before along", breaking(undoTwice), []string{randomly}},
		{"a list lags behind a read", breaking(laggingList), []string{randomlyAtOnce}},
		{"a deletion takes the parts of a job that was created meanwhile", breaking(deleteLate),
			[]string{randomlyAtOnce}},
		{"half a plan is seen while it is stored", breaking(halfPlans), []string{randomlyAtOnce}},
		{"who comes second is sent away", breaking(sendAway), []string{randomlyAtOnce}},
		{"an update is stored after it has returned", breakingPair(lateUpdates),
			[]string{randomlyReopened, "sharing" + randomlyAtOnce[len("atomicity"):]}},
		{"the second store knows the jobs of before", breakingPair(rememberJobs),
			[]string{randomlyReopened, "sharing" + randomlyAtOnce[len("atomicity"):]}},
		{"a store that starts fails the jobs that run", failingAtStart, []string{randomlyReopened}},
	}
}

// staleExpiry has an index of its own, into which an id that is used again does
// not get.
func staleExpiry(s *faulty) {
	var expiries sync.Map
	s.createJob = func(ctx context.Context, job bulkexport.Job) error {
		err := s.Store.CreateJob(ctx, job)
		if err == nil {
			expiries.LoadOrStore(job.ID, job.ExpiresAt)
		}
		return err
	}
	s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
		job, err := s.Store.UpdateJob(ctx, id, fn)
		if err == nil {
			expiries.Store(id, job.ExpiresAt)
		}
		return job, err
	}
	s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
		by := f.ExpiredBy
		if by.IsZero() {
			return s.Store.Jobs(ctx, f)
		}
		limit := f.Limit
		f.ExpiredBy, f.Limit = time.Time{}, 0
		jobs, err := s.Store.Jobs(ctx, f)
		jobs = slices.DeleteFunc(jobs, func(j bulkexport.Job) bool {
			at, _ := expiries.Load(j.ID)
			return at.(time.Time).IsZero() || at.(time.Time).After(by)
		})
		if limit > 0 {
			jobs = jobs[:min(limit, len(jobs))]
		}
		return jobs, err
	}
}

// undoTwice remembers each part as it was before its last update.
func undoTwice(s *faulty) {
	var before sync.Map
	s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
		was := bulkexport.Part{Index: -1}
		part, err := s.Store.UpdatePart(ctx, id, i, func(j bulkexport.Job, p *bulkexport.Part) error {
			was = *p
			return fn(j, p)
		})
		switch {
		case was.Index < 0:
			before.Delete(id)
		case err == nil:
			before.Store(id, was)
		default:
			if older, ok := before.LoadAndDelete(id); ok && older.(bulkexport.Part).Index == i {
				_, _ = s.overwritePart(ctx, id, older.(bulkexport.Part))
			}
		}
		return part, err
	}
	s.deleteJob = func(ctx context.Context, id string) error {
		before.Delete(id)
		return s.Store.DeleteJob(ctx, id)
	}
}

// laggingList lists a job as it was until its update has returned, while Job
// shows already what it becomes.
func laggingList(s *faulty) {
	var lagging sync.Map
	s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
		defer lagging.Delete(id)
		job, err := s.Store.UpdateJob(ctx, id, func(j *bulkexport.Job) error {
			lagging.Store(id, *j)
			return fn(j)
		})
		linger()
		return job, err
	}
	s.onList(asAsked, func(jobs []bulkexport.Job) []bulkexport.Job {
		for i := range jobs {
			if old, ok := lagging.Load(jobs[i].ID); ok {
				jobs[i] = old.(bulkexport.Job)
			}
		}
		return jobs
	})
}

func deleteLate(s *faulty) {
	s.deleteJob = func(ctx context.Context, id string) error {
		if err := s.Store.DeleteJob(ctx, id); err != nil {
			return err
		}
		linger()
		job, err := s.Store.Job(ctx, id)
		if err != nil {
			return nil //nolint:nilerr // it is absent
		}
		return errors.Join(s.Store.DeleteJob(ctx, id), s.Store.CreateJob(ctx, job))
	}
}

func halfPlans(s *faulty) {
	var unfinished sync.Map
	s.setParts = func(ctx context.Context, id string, parts []bulkexport.Part) error {
		if known, _ := s.Store.Parts(ctx, id); len(known) > 0 {
			return s.Store.SetParts(ctx, id, parts)
		}
		unfinished.Store(id, true)
		defer unfinished.Delete(id)
		err := s.Store.SetParts(ctx, id, parts)
		linger()
		return err
	}
	s.parts = func(ctx context.Context, id string) ([]bulkexport.Part, error) {
		_, half := unfinished.Load(id)
		parts, err := s.Store.Parts(ctx, id)
		if half {
			parts = parts[:len(parts)/2]
		}
		return parts, err
	}
}

func sendAway(s *faulty) {
	var busy sync.Mutex
	s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
		if !busy.TryLock() {
			return bulkexport.Part{}, errors.New("the store is busy")
		}
		defer busy.Unlock()
		return s.Store.UpdatePart(ctx, id, i, fn)
	}
}

// lateUpdates stores an update when the same store is asked for the next thing,
// so that only others see that it is late.
func lateUpdates(s *faulty) {
	var mu sync.Mutex
	late := func() {}
	arrive := func() {
		mu.Lock()
		defer mu.Unlock()
		late()
		late = func() {}
	}
	s.createJob = func(ctx context.Context, job bulkexport.Job) error {
		arrive()
		return s.Store.CreateJob(ctx, job)
	}
	s.job = func(ctx context.Context, id string) (bulkexport.Job, error) {
		arrive()
		return s.Store.Job(ctx, id)
	}
	s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
		arrive()
		return s.Store.Jobs(ctx, f)
	}
	s.deleteJob = func(ctx context.Context, id string) error {
		arrive()
		return s.Store.DeleteJob(ctx, id)
	}
	s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
		arrive()
		return s.Store.UpdatePart(ctx, id, i, fn)
	}
	s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
		arrive()
		mu.Lock()
		defer mu.Unlock()
		job, err := s.Store.Job(ctx, id)
		if err == nil {
			err = fn(&job)
		}
		if err != nil {
			return bulkexport.Job{}, err
		}
		late = func() {
			_, _ = s.Store.UpdateJob(ctx, id, func(j *bulkexport.Job) error {
				*j = job
				return nil
			})
		}
		return job, nil
	}
}

// rememberJobs has a cache that the store keeps up to date with its own updates
// only.
func rememberJobs(s *faulty) {
	var known sync.Map
	forget := func(id string) { known.Delete(id) }
	s.job = func(ctx context.Context, id string) (bulkexport.Job, error) {
		if job, ok := known.Load(id); ok {
			return job.(bulkexport.Job), nil
		}
		job, err := s.Store.Job(ctx, id)
		if err == nil {
			known.Store(id, job)
		}
		return job, err
	}
	s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
		defer forget(id)
		return s.Store.UpdateJob(ctx, id, fn)
	}
	s.deleteJob = func(ctx context.Context, id string) error {
		defer forget(id)
		return s.Store.DeleteJob(ctx, id)
	}
}

// failingAtStart takes jobs of a process that lives for those of one that died.
func failingAtStart() stores {
	data := memstore.New()
	open := func() bulkexport.JobStore {
		running := bulkexport.JobFilter{States: []bulkexport.JobState{bulkexport.JobRunning}}
		jobs, _ := data.Jobs(context.Background(), running)
		for _, job := range jobs {
			_, _ = data.UpdateJob(context.Background(), job.ID, func(j *bulkexport.Job) error {
				j.State = bulkexport.JobFailed
				return nil
			})
		}
		return over(data, func(*faulty) {})
	}
	return stores{s: open(), rival: open(), reopen: func() (bulkexport.JobStore, func()) {
		return open(), func() {}
	}}
}

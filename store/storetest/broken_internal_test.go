package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// faulty is a correct store but for the methods that are set.
type faulty struct {
	*memstore.Store
	createJob  func(context.Context, bulkexport.Job) error
	job        func(context.Context, string) (bulkexport.Job, error)
	updateJob  func(context.Context, string, jobUpdate) (bulkexport.Job, error)
	jobs       func(context.Context, bulkexport.JobFilter) ([]bulkexport.Job, error)
	deleteJob  func(context.Context, string) error
	setParts   func(context.Context, string, []bulkexport.Part) error
	parts      func(context.Context, string) ([]bulkexport.Part, error)
	updatePart func(context.Context, string, int, partUpdate) (bulkexport.Part, error)
	revision   func(context.Context, string) (int64, error)
	time       func(context.Context) (time.Time, error)
	take       func(context.Context, string, time.Duration, time.Duration) (time.Duration, error)
}

type (
	jobUpdate  = func(*bulkexport.Job) error
	partUpdate = func(bulkexport.Job, *bulkexport.Part) error
)

// breaking opens a correct store after fault has replaced methods of it.
func breaking(fault func(*faulty)) func() stores {
	return func() stores {
		s := over(memstore.New(), fault)
		return stores{s: s, rival: s}
	}
}

// breakingPair opens such stores over the same data.
func breakingPair(fault func(*faulty)) func() stores {
	return func() stores {
		data := memstore.New()
		return stores{s: over(data, fault), rival: over(data, fault), reopen: func() (bulkexport.JobStore, func()) {
			return over(data, fault), func() {}
		}}
	}
}

func over(m *memstore.Store, fault func(*faulty)) *faulty {
	s := &faulty{
		Store: m, createJob: m.CreateJob, job: m.Job, updateJob: m.UpdateJob, jobs: m.Jobs,
		deleteJob: m.DeleteJob, setParts: m.SetParts, parts: m.Parts, updatePart: m.UpdatePart,
		revision: m.Revision, time: timeOfDay, take: m.Take,
	}
	fault(s)
	return s
}

func (s *faulty) CreateJob(ctx context.Context, job bulkexport.Job) error {
	return s.createJob(ctx, job)
}

func (s *faulty) Job(ctx context.Context, id string) (bulkexport.Job, error) {
	return s.job(ctx, id)
}

func (s *faulty) UpdateJob(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
	return s.updateJob(ctx, id, fn)
}

func (s *faulty) Jobs(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
	return s.jobs(ctx, f)
}

func (s *faulty) Revision(ctx context.Context, id string) (int64, error) { return s.revision(ctx, id) }

func (s *faulty) DeleteJob(ctx context.Context, id string) error { return s.deleteJob(ctx, id) }

func (s *faulty) SetParts(ctx context.Context, id string, parts []bulkexport.Part) error {
	return s.setParts(ctx, id, parts)
}

func (s *faulty) Parts(ctx context.Context, id string) ([]bulkexport.Part, error) {
	return s.parts(ctx, id)
}

func (s *faulty) UpdatePart(
	ctx context.Context, id string, index int, fn partUpdate,
) (bulkexport.Part, error) {
	return s.updatePart(ctx, id, index, fn)
}

// onRead changes every job that Job returns, onPartsRead what Parts returns.
func (s *faulty) onRead(change func(*bulkexport.Job)) {
	s.job = func(ctx context.Context, id string) (bulkexport.Job, error) {
		job, err := s.Store.Job(ctx, id)
		change(&job)
		return job, err
	}
}

func (s *faulty) onPartsRead(change func([]bulkexport.Part) []bulkexport.Part) {
	s.parts = func(ctx context.Context, id string) ([]bulkexport.Part, error) {
		parts, err := s.Store.Parts(ctx, id)
		return change(parts), err
	}
}

// onList selects jobs with another filter, and changes what was selected.
func (s *faulty) onList(
	filter func(*bulkexport.JobFilter), change func([]bulkexport.Job) []bulkexport.Job,
) {
	s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
		filter(&f)
		jobs, err := s.Store.Jobs(ctx, f)
		return change(jobs), err
	}
}

func allAsIs(jobs []bulkexport.Job) []bulkexport.Job { return jobs }

func asAsked(*bulkexport.JobFilter) {}

// linger gives other goroutines time to get in between.
func linger() { <-time.After(time.Millisecond) }

func brokenStores() []brokenStore {
	return slices.Concat(forgetfulStores(), confusedStores(), wrongLists(), wrongPlans(),
		leakyStores(), stubbornStores(), racyStores(), separateStores(), subtleStores(), unrevisedStores(),
		wrongClocks(), wrongLimiters())
}

func forgetfulStores() []brokenStore {
	return []brokenStore{
		{"a field is not stored", breaking(func(s *faulty) {
			s.onRead(func(j *bulkexport.Job) { j.FailureReason = "" })
		}), []string{"basics/a created job is read back whole"}},
		{"a field is not updated", breaking(func(s *faulty) {
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				return s.Store.UpdateJob(ctx, id, func(j *bulkexport.Job) error {
					before := j.Consistency
					defer func() { j.Consistency = before }()
					return fn(j)
				})
			}
		}), []string{"basics/an updated job is stored and returned"}},
		{"a field of a part is not updated", breaking(func(s *faulty) {
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				return s.Store.UpdatePart(ctx, id, i, func(j bulkexport.Job, p *bulkexport.Part) error {
					before := p.Cursor
					defer func() { p.Cursor = before }()
					return fn(j, p)
				})
			}
		}), []string{"basics/an updated part is stored and returned"}},
		{"the list of files has a bound", breaking(func(s *faulty) {
			s.onPartsRead(func(parts []bulkexport.Part) []bulkexport.Part {
				for i := range parts {
					parts[i].Files = parts[i].Files[:min(len(parts[i].Files), 1000)]
				}
				return parts
			})
		}), []string{"basics/a part keeps thousands of files"}},
		{"times in the server's zone", breaking(func(s *faulty) {
			s.onRead(func(j *bulkexport.Job) { j.EndedAt = j.EndedAt.In(time.FixedZone("", 3600)) })
		}), []string{"times/times of another zone come back in UTC"}},
		{"times in milliseconds", breaking(func(s *faulty) {
			s.onRead(func(j *bulkexport.Job) { j.EndedAt = j.EndedAt.Truncate(time.Millisecond) })
		}), []string{"times/times of another zone come back in UTC"}},
		{"zero times become 1970", breaking(func(s *faulty) {
			s.onRead(func(j *bulkexport.Job) {
				if j.StartedAt.IsZero() {
					j.StartedAt = time.Unix(0, 0).UTC()
				}
			})
		}), []string{"times/zero times stay zero"}},
		{"times as nanoseconds since 1970", breaking(func(s *faulty) {
			s.onRead(func(j *bulkexport.Job) { j.EndedAt = time.Unix(0, j.EndedAt.UnixNano()).UTC() })
		}), []string{"times/times far away keep their microseconds"}},
		{"strings are trimmed", breaking(func(s *faulty) {
			s.onRead(func(j *bulkexport.Job) { j.Client = strings.TrimSpace(j.Client) })
		}), []string{"hostile/strings come back byte for byte"}},
		{"keys are text", breaking(func(s *faulty) {
			s.onPartsRead(func(parts []bulkexport.Part) []bulkexport.Part {
				for i := range parts {
					parts[i].After = bytes.ToValidUTF8(parts[i].After, []byte("\ufffd"))
				}
				return parts
			})
		}), []string{"hostile/keys come back byte for byte"}},
		{"nil becomes empty", breaking(func(s *faulty) {
			s.onPartsRead(func(parts []bulkexport.Part) []bulkexport.Part {
				for i := range parts {
					parts[i].Cursor = append([]byte{}, parts[i].Cursor...)
				}
				return parts
			})
		}), []string{"hostile/nil slices stay nil"}},
	}
}

func confusedStores() []brokenStore {
	return []brokenStore{
		{"a taken id is overwritten", breaking(func(s *faulty) {
			s.createJob = func(ctx context.Context, job bulkexport.Job) error {
				return errors.Join(s.Store.DeleteJob(ctx, job.ID), s.Store.CreateJob(ctx, job))
			}
		}), []string{"basics/a taken id is refused"}},
		{"a job without a plan is an error", breaking(func(s *faulty) {
			s.parts = func(ctx context.Context, id string) ([]bulkexport.Part, error) {
				parts, err := s.Store.Parts(ctx, id)
				if len(parts) == 0 {
					err = bulkexport.ErrPartNotFound
				}
				return parts, err
			}
		}), []string{"basics/a job without a plan has no parts"}},
		{"an update of a part touches the job", breaking(func(s *faulty) {
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				part, err := s.Store.UpdatePart(ctx, id, i, fn)
				_, jobErr := s.Store.UpdateJob(ctx, id, addFailure)
				return part, errors.Join(err, jobErr)
			}
		}), []string{"basics/an update of a part leaves the rest alone"}},
		{"absent is an error of its own", breaking(func(s *faulty) {
			s.job = func(ctx context.Context, id string) (bulkexport.Job, error) {
				job, err := s.Store.Job(ctx, id)
				if err != nil {
					err = errors.New("no rows")
				}
				return job, err
			}
		}), []string{
			"absent/an unknown job is not found by any method", "deletion/a deleted job is absent",
		}},
		{"an absent part is an absent job", breaking(func(s *faulty) {
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				part, err := s.Store.UpdatePart(ctx, id, i, fn)
				if errors.Is(err, bulkexport.ErrPartNotFound) {
					err = bulkexport.ErrJobNotFound
				}
				return part, err
			}
		}), []string{"absent/an unknown part is not found"}},
		{"an update creates the job", breaking(func(s *faulty) {
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				_ = s.Store.CreateJob(ctx, bulkexport.Job{ID: id})
				return s.Store.UpdateJob(ctx, id, fn)
			}
		}), []string{"absent/an unknown job is not created by any method"}},
		{"deleting nothing is an error", breaking(func(s *faulty) {
			s.deleteJob = func(ctx context.Context, id string) error {
				_, err := s.Store.Job(ctx, id)
				return errors.Join(err, s.Store.DeleteJob(ctx, id))
			}
		}), []string{"absent/deleting nothing is no error"}},
		{"deleting removes what looks alike", breaking(func(s *faulty) {
			s.deleteJob = func(ctx context.Context, id string) error {
				return errors.Join(s.Store.DeleteJob(ctx, id), s.Store.DeleteJob(ctx, jobID(1)))
			}
		}), []string{"deletion/other jobs stay"}},
		{"ids ignore case and space", breaking(func(s *faulty) {
			s.job = func(ctx context.Context, id string) (bulkexport.Job, error) {
				return s.Store.Job(ctx, strings.ToLower(strings.TrimSpace(id)))
			}
		}), []string{"hostile/ids are compared byte for byte"}},
	}
}

func wrongLists() []brokenStore {
	list := func(
		filter func(*bulkexport.JobFilter), change func([]bulkexport.Job) []bulkexport.Job,
	) func() stores {
		return breaking(func(s *faulty) { s.onList(filter, change) })
	}
	return []brokenStore{
		{"nothing to list is an error", breaking(func(s *faulty) {
			s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
				jobs, err := s.Store.Jobs(ctx, f)
				if len(jobs) == 0 {
					err = bulkexport.ErrJobNotFound
				}
				return jobs, err
			}
		}), []string{"absent/an empty store lists nothing"}},
		{"the newest first", list(asAsked, func(jobs []bulkexport.Job) []bulkexport.Job {
			slices.Reverse(jobs)
			return jobs
		}), []string{"filters/all jobs, whole, in order of id"}},
		{"one state only", list(func(f *bulkexport.JobFilter) {
			f.States = f.States[:min(len(f.States), 1)]
		}, allAsIs), []string{"filters/by state", randomly}},
		{"the empty tenant is all tenants", list(func(f *bulkexport.JobFilter) {
			if f.Tenant != nil && *f.Tenant == "" {
				f.Tenant = nil
			}
		}, allAsIs), []string{"filters/by tenant", "hostile/tenants are compared byte for byte"}},
		{"expiry is exclusive", list(func(f *bulkexport.JobFilter) {
			if !f.ExpiredBy.IsZero() {
				f.ExpiredBy = f.ExpiredBy.Add(-time.Microsecond)
			}
		}, allAsIs), []string{"filters/by expiry", randomly}},
		{"no expiry is expired", breaking(func(s *faulty) {
			s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
				by := f.ExpiredBy
				f.ExpiredBy = time.Time{}
				jobs, err := s.Store.Jobs(ctx, f)
				return slices.DeleteFunc(jobs, func(j bulkexport.Job) bool {
					return !by.IsZero() && j.ExpiresAt.After(by)
				}), err
			}
		}), []string{"filters/by expiry"}},
		{"no paging", list(func(f *bulkexport.JobFilter) { f.After = "" }, allAsIs),
			[]string{"filters/page by page", randomly}},
		{"no bound", list(func(f *bulkexport.JobFilter) { f.Limit = 0 }, allAsIs),
			[]string{"filters/page by page", randomly}},
		{"a second condition is ignored", list(func(f *bulkexport.JobFilter) {
			if len(f.States) > 0 {
				f.Tenant = nil
			}
		}, allAsIs), []string{"filters/all fields together"}},
		{"the state is the one at creation", breaking(func(s *faulty) {
			created := make(map[string]bulkexport.JobState)
			s.createJob = func(ctx context.Context, job bulkexport.Job) error {
				created[job.ID] = job.State
				return s.Store.CreateJob(ctx, job)
			}
			s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
				states := f.States
				f.States = nil
				jobs, err := s.Store.Jobs(ctx, f)
				return slices.DeleteFunc(jobs, func(j bulkexport.Job) bool {
					return len(states) > 0 && !slices.Contains(states, created[j.ID])
				}), err
			}
		}), []string{"filters/jobs as last updated", randomly}},
	}
}

func wrongPlans() []brokenStore {
	return []brokenStore{
		{"parts in any order", breaking(func(s *faulty) {
			s.onPartsRead(func(parts []bulkexport.Part) []bulkexport.Part {
				slices.Reverse(parts)
				return parts
			})
		}), []string{"basics/a plan is read back whole and in order"}},
		{"only so many parts", breaking(func(s *faulty) {
			s.setParts = func(ctx context.Context, id string, parts []bulkexport.Part) error {
				return s.Store.SetParts(ctx, id, parts[:min(len(parts), 1000)])
			}
		}), []string{"plans/thousands of parts"}},
		{"an empty plan is a plan", breaking(func(s *faulty) {
			var empty sync.Map
			s.setParts = func(ctx context.Context, id string, parts []bulkexport.Part) error {
				if _, planned := empty.Load(id); planned {
					return nil
				}
				if len(parts) == 0 {
					empty.Store(id, true)
				}
				return s.Store.SetParts(ctx, id, parts)
			}
		}), []string{"plans/an empty plan does not count"}},
		{"the last plan wins", breaking(func(s *faulty) {
			s.setParts = func(ctx context.Context, id string, parts []bulkexport.Part) error {
				job, err := s.Store.Job(ctx, id)
				return errors.Join(err, s.Store.DeleteJob(ctx, id), s.Store.CreateJob(ctx, job),
					s.Store.SetParts(ctx, id, parts))
			}
		}), []string{"plans/the first plan stays", randomly}},
		{"a plan grows", breaking(func(s *faulty) {
			read := make(chan struct{})
			seen := sync.OnceFunc(func() { close(read) })
			s.setParts = func(ctx context.Context, id string, parts []bulkexport.Part) error {
				defer func() { <-read }()
				return s.Store.SetParts(ctx, id, parts)
			}
			s.onPartsRead(func(parts []bulkexport.Part) []bulkexport.Part {
				select {
				case <-read:
				default:
					parts = parts[:len(parts)/2]
					if len(parts) > 0 {
						seen()
					}
				}
				return parts
			})
		}), []string{"atomicity/a plan appears as a whole"}},
	}
}

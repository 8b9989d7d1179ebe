package storetest

import (
	"context"
	"errors"
	"sync"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// leaky keeps what it is given and hands out what it keeps. It has no more
// methods of its own than the cases need.
type leaky struct {
	bulkexport.JobStore
	job   bulkexport.Job
	parts []bulkexport.Part
}

func (s *leaky) CreateJob(_ context.Context, job bulkexport.Job) error {
	s.job = job
	return nil
}

func (s *leaky) Job(context.Context, string) (bulkexport.Job, error) { return s.job, nil }

func (s *leaky) UpdateJob(_ context.Context, _ string, fn jobUpdate) (bulkexport.Job, error) {
	err := fn(&s.job)
	return s.job, err
}

func (s *leaky) Jobs(context.Context, bulkexport.JobFilter) ([]bulkexport.Job, error) {
	return []bulkexport.Job{s.job}, nil
}

func (s *leaky) SetParts(_ context.Context, _ string, parts []bulkexport.Part) error {
	s.parts = parts
	return nil
}

func (s *leaky) Parts(context.Context, string) ([]bulkexport.Part, error) { return s.parts, nil }

func (s *leaky) UpdatePart(_ context.Context, _ string, i int, fn partUpdate) (bulkexport.Part, error) {
	err := fn(s.job, &s.parts[i])
	return s.parts[i], err
}

// leakyStores are stores that share memory with their callers, or do not undo
// what a function has done before it refused.
func leakyStores() []brokenStore {
	var all []string
	for _, c := range copyCases() {
		all = append(all, c.String())
	}
	return []brokenStore{
		{"nothing is copied", func() stores {
			s := &leaky{}
			return stores{s: s, rival: s}
		}, append(all,
			"refusals/a refused update of a job changes nothing",
			"refusals/a refused update of a part changes nothing",
		)},
		{"a map within a slice is not copied", breaking(func(s *faulty) {
			var plan []bulkexport.Part
			s.setParts = func(ctx context.Context, id string, parts []bulkexport.Part) error {
				plan = parts
				return s.Store.SetParts(ctx, id, parts)
			}
			s.parts = func(ctx context.Context, id string) ([]bulkexport.Part, error) {
				parts, err := s.Store.Parts(ctx, id)
				for i := range parts {
					for j := range parts[i].Files {
						parts[i].Files[j].Severities = plan[i].Files[j].Severities
					}
				}
				return parts, err
			}
		}), []string{"copies/what Parts returns"}},
		{"a refusal loses its identity", breaking(func(s *faulty) {
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				job, err := s.Store.UpdateJob(ctx, id, fn)
				if err != nil {
					err = errors.New("update job: " + err.Error())
				}
				return job, err
			}
		}), []string{
			"refusals/the refusal is found in the error",
			"refusals/a refused update of a job changes nothing",
		}},
		{"deletion leaves the parts", breaking(func(s *faulty) {
			var orphans sync.Map
			s.adopt(&orphans)
			s.deleteJob = func(ctx context.Context, id string) error {
				parts, _ := s.Store.Parts(ctx, id)
				orphans.Store(id, parts)
				return s.Store.DeleteJob(ctx, id)
			}
		}), []string{"deletion/the id is free again, without the parts", randomly}},
	}
}

// stubbornStores do not do what a context says.
func stubbornStores() []brokenStore {
	return []brokenStore{
		{"the context is ignored", breaking(func(s *faulty) {
			s.updateJob = func(_ context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				return s.Store.UpdateJob(context.Background(), id, fn)
			}
		}), []string{
			"cancellation/a cancelled context ends every call",
			"cancellation/a passed deadline ends every call",
		}},
		{"the cause hides the context's error", breaking(func(s *faulty) {
			s.jobs = func(ctx context.Context, f bulkexport.JobFilter) ([]bulkexport.Job, error) {
				if ctx.Err() != nil {
					return nil, context.Cause(ctx)
				}
				return s.Store.Jobs(ctx, f)
			}
		}), []string{"cancellation/a cancelled context ends every call"}},
		{"an update is stored, then fails", breaking(func(s *faulty) {
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				job, err := s.Store.UpdateJob(ctx, id, fn)
				return job, errors.Join(err, ctx.Err())
			}
		}), []string{"cancellation/a context that ends within an update"}},
		{"an update of a part succeeds, but is not stored", breaking(func(s *faulty) {
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				return s.Store.UpdatePart(ctx, id, i, func(j bulkexport.Job, p *bulkexport.Part) error {
					before := *p
					err := fn(j, p)
					if ctx.Err() != nil {
						*p = before
					}
					return err
				})
			}
		}), []string{"cancellation/a context that ends within an update of a part"}},
	}
}

// separateStores come in pairs that do not know of each other.
func separateStores() []brokenStore {
	return []brokenStore{
		{"the data ends with the store", func() stores {
			return stores{s: memstore.New(), rival: memstore.New()}
		}, []string{"persistence/another store sees everything"}},
		{"reads are remembered", breakingPair(func(s *faulty) {
			var known sync.Map
			s.job = func(ctx context.Context, id string) (bulkexport.Job, error) {
				if job, ok := known.Load(id); ok {
					return job.(bulkexport.Job), nil
				}
				job, err := s.Store.Job(ctx, id)
				known.Store(id, job)
				return job, err
			}
		}), []string{"persistence/both stores see each other's changes", randomlyReopened}},
		{"a lock within the process only", breakingPair(func(s *faulty) {
			var mu sync.Mutex
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				mu.Lock()
				defer mu.Unlock()
				return s.unlockedUpdateJob(ctx, id, fn)
			}
		}), []string{
			"sharing/many updates of a job lose nothing",
			"sharing/an update in the middle of another loses nothing",
			"sharing" + randomlyAtOnce[len("atomicity"):],
		}},
	}
}

package storetest

import (
	"context"
	"errors"
	"sync"

	"github.com/bulkexport/bulkexport"
)

// unlockedUpdateJob lets others in between reading and writing.
func (s *faulty) unlockedUpdateJob(
	ctx context.Context, id string, fn jobUpdate,
) (bulkexport.Job, error) {
	job, err := s.Store.Job(ctx, id)
	if err == nil {
		err = fn(&job)
	}
	if err != nil {
		return bulkexport.Job{}, err
	}
	linger()
	return s.Store.UpdateJob(ctx, id, func(j *bulkexport.Job) error {
		*j = job
		return nil
	})
}

// unlockedUpdatePart is unlockedUpdateJob for a part.
func (s *faulty) unlockedUpdatePart(
	ctx context.Context, id string, index int, fn partUpdate,
) (bulkexport.Part, error) {
	job, err := s.Store.Job(ctx, id)
	if err != nil {
		return bulkexport.Part{}, err
	}
	parts, err := s.Store.Parts(ctx, id)
	if err == nil && index >= len(parts) {
		err = bulkexport.ErrPartNotFound
	}
	if err == nil {
		err = fn(job, &parts[index])
	}
	if err != nil {
		return bulkexport.Part{}, err
	}
	linger()
	return s.overwritePart(ctx, id, parts[index])
}

func (s *faulty) overwritePart(
	ctx context.Context, id string, part bulkexport.Part,
) (bulkexport.Part, error) {
	return s.Store.UpdatePart(ctx, id, part.Index, func(_ bulkexport.Job, p *bulkexport.Part) error {
		*p = part
		return nil
	})
}

// racyStores are right as long as calls come one after the other.
func racyStores() []brokenStore {
	return []brokenStore{
		{"check, then create", breaking(func(s *faulty) {
			s.createJob = func(ctx context.Context, job bulkexport.Job) error {
				if _, err := s.Store.Job(ctx, job.ID); err == nil {
					return bulkexport.ErrJobExists
				}
				linger()
				_ = s.Store.CreateJob(ctx, job)
				return nil
			}
		}), []string{"atomicity/one of many creators of a job wins", randomlyAtOnce}},
		{"jobs are not locked", breaking(func(s *faulty) {
			s.updateJob = s.unlockedUpdateJob
		}), []string{
			"atomicity/many updates of a job lose nothing",
			"atomicity/an update in the middle of another loses nothing",
			randomlyAtOnce,
		}},
		{"parts are not locked", breaking(func(s *faulty) {
			s.updatePart = s.unlockedUpdatePart
		}), []string{
			"atomicity/many updates of a part lose nothing",
			"atomicity/an update in the middle of another of the same part loses nothing",
			"atomicity/one of many claims of a part wins",
			"atomicity/an owner whose part was taken is refused",
			"atomicity/a job does not change in the middle of an update of its part",
			"atomicity/no part is stored once its job is marked deleted",
			randomlyAtOnce,
		}},
		{"the job is read before the part is locked", breaking(func(s *faulty) {
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				job, err := s.Store.Job(ctx, id)
				if err != nil {
					return bulkexport.Part{}, err
				}
				linger()
				return s.Store.UpdatePart(ctx, id, i, func(_ bulkexport.Job, p *bulkexport.Part) error {
					return fn(job, p)
				})
			}
		}), []string{"atomicity/no part is stored once its job is marked deleted", randomlyAtOnce}},
		{"the job is remembered for the parts", breaking(func(s *faulty) {
			var known sync.Map
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				return s.Store.UpdatePart(ctx, id, i, func(j bulkexport.Job, p *bulkexport.Part) error {
					first, _ := known.LoadOrStore(id, j)
					return fn(first.(bulkexport.Job), p)
				})
			}
		}), []string{"atomicity/an update of a part sees the job as last updated", randomly}},
		{"all parts are one record", breaking(func(s *faulty) {
			s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
				parts, err := s.Store.Parts(ctx, id)
				if err == nil {
					err = fn(bulkexport.Job{}, &parts[i])
				}
				linger()
				for _, p := range parts {
					_, overwriteErr := s.overwritePart(ctx, id, p)
					err = errors.Join(err, overwriteErr)
				}
				return parts[i], err
			}
		}), []string{"atomicity/many updates of different parts lose nothing"}},
		{"an update brings the job back", breaking(func(s *faulty) {
			s.updateJob = func(ctx context.Context, id string, fn jobUpdate) (bulkexport.Job, error) {
				job, err := s.Store.Job(ctx, id)
				if err == nil {
					err = fn(&job)
				}
				return job, errors.Join(err, s.Store.DeleteJob(ctx, id), s.Store.CreateJob(ctx, job))
			}
		}), []string{
			"atomicity/a job that is deleted in the middle of an update stays deleted", randomlyAtOnce,
		}},
		{"an update brings the parts back", breaking(bringBackParts), []string{
			"atomicity/a part whose job is deleted in the middle of an update stays deleted", randomlyAtOnce,
		}},
		{"a plan needs no job", breaking(planOrphans), []string{
			"atomicity/a plan that races with a deletion leaves no parts", randomlyAtOnce,
		}},
		{"plans are mixed", breaking(mixPlans), []string{"atomicity/one of many plans is stored"}},
	}
}

// adopt gives a job that is created the parts that wait for its id.
func (s *faulty) adopt(orphans *sync.Map) {
	s.createJob = func(ctx context.Context, job bulkexport.Job) error {
		err := s.Store.CreateJob(ctx, job)
		if parts, ok := orphans.LoadAndDelete(job.ID); ok {
			err = errors.Join(err, s.Store.SetParts(ctx, job.ID, parts.([]bulkexport.Part)))
		}
		return err
	}
}

func bringBackParts(s *faulty) {
	var orphans sync.Map
	s.adopt(&orphans)
	s.updatePart = func(ctx context.Context, id string, i int, fn partUpdate) (bulkexport.Part, error) {
		part, err := s.unlockedUpdatePart(ctx, id, i, fn)
		if errors.Is(err, bulkexport.ErrJobNotFound) {
			orphans.Store(id, newPlan(1, "Patient"))
		}
		return part, err
	}
}

func planOrphans(s *faulty) {
	var orphans sync.Map
	s.adopt(&orphans)
	s.setParts = func(ctx context.Context, id string, parts []bulkexport.Part) error {
		if _, err := s.Store.Job(ctx, id); err != nil {
			return err
		}
		linger()
		if err := s.Store.SetParts(ctx, id, parts); err != nil {
			orphans.Store(id, parts)
		}
		return nil
	}
}

func mixPlans(s *faulty) {
	var mu sync.Mutex
	var stored []bulkexport.Part
	read := func() []bulkexport.Part {
		mu.Lock()
		defer mu.Unlock()
		return stored
	}
	s.setParts = func(_ context.Context, _ string, parts []bulkexport.Part) error {
		if len(read()) > 0 {
			return nil
		}
		linger()
		mu.Lock()
		defer mu.Unlock()
		stored = append(stored, parts...)
		return nil
	}
	s.parts = func(context.Context, string) ([]bulkexport.Part, error) { return read(), nil }
}

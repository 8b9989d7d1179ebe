// Package memstore keeps jobs in memory: for tests, and for hosts that can
// afford to lose their exports when the process ends.
//
// Nothing is durable and nothing is shared with other processes. Within the
// process a store may be used by any number of exporters and goroutines. It
// needs no set-up:
//
//	store := memstore.New()
package memstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

var (
	_ bulkexport.JobStore       = (*Store)(nil)
	_ bulkexport.StoreRevisions = (*Store)(nil)
	_ bulkexport.Limiter        = (*Store)(nil)
)

// Store is a [bulkexport.JobStore] in memory. It is safe for concurrent use.
// Functions that are given to updates run one at a time, whatever the job.
type Store struct {
	mu   sync.Mutex
	jobs map[string]*record

	limiter bulkexport.Limiter
}

// record is a job with its parts in order of Index. Nothing in it is shared
// with a caller.
type record struct {
	job      bulkexport.Job
	parts    []bulkexport.Part
	revision int64
}

// New returns an empty store.
func New() *Store {
	return &Store{jobs: make(map[string]*record), limiter: bulkexport.NewLimiter()}
}

// CreateJob implements [bulkexport.JobStore].
func (s *Store) CreateJob(ctx context.Context, job bulkexport.Job) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: create job: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.jobs[job.ID]; taken {
		return fmt.Errorf("memstore: create job: %w", bulkexport.ErrJobExists)
	}
	s.jobs[job.ID] = &record{job: cloneJob(job)}
	return nil
}

// Job implements [bulkexport.JobStore].
func (s *Store) Job(ctx context.Context, id string) (bulkexport.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.find(ctx, id)
	if err != nil {
		return bulkexport.Job{}, fmt.Errorf("memstore: get job: %w", err)
	}
	return cloneJob(rec.job), nil
}

// UpdateJob implements [bulkexport.JobStore]. An error of fn is returned as it
// is.
func (s *Store) UpdateJob(
	ctx context.Context, id string, fn func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.find(ctx, id)
	if err != nil {
		return bulkexport.Job{}, fmt.Errorf("memstore: update job: %w", err)
	}
	job := cloneJob(rec.job)
	if err := fn(&job); err != nil {
		return bulkexport.Job{}, err
	}
	rec.job = cloneJob(job)
	rec.revision++
	return cloneJob(job), nil
}

// Jobs implements [bulkexport.JobStore].
func (s *Store) Jobs(ctx context.Context, filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("memstore: list jobs: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var jobs []bulkexport.Job
	for _, rec := range s.jobs {
		if selects(filter, rec.job) {
			jobs = append(jobs, cloneJob(rec.job))
		}
	}
	slices.SortFunc(jobs, func(a, b bulkexport.Job) int { return cmp.Compare(a.ID, b.ID) })
	if filter.Limit > 0 && len(jobs) > filter.Limit {
		jobs = jobs[:filter.Limit]
	}
	return jobs, nil
}

// DeleteJob implements [bulkexport.JobStore].
func (s *Store) DeleteJob(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memstore: delete job: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, id)
	return nil
}

// SetParts implements [bulkexport.JobStore].
func (s *Store) SetParts(ctx context.Context, jobID string, parts []bulkexport.Part) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.find(ctx, jobID)
	if err != nil {
		return fmt.Errorf("memstore: set parts: %w", err)
	}
	if len(rec.parts) > 0 {
		return nil
	}
	rec.parts = cloneParts(parts)
	slices.SortFunc(rec.parts, func(a, b bulkexport.Part) int { return cmp.Compare(a.Index, b.Index) })
	rec.revision++
	return nil
}

// Parts implements [bulkexport.JobStore].
func (s *Store) Parts(ctx context.Context, jobID string) ([]bulkexport.Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.find(ctx, jobID)
	if err != nil {
		return nil, fmt.Errorf("memstore: list parts: %w", err)
	}
	return cloneParts(rec.parts), nil
}

// UpdatePart implements [bulkexport.JobStore]. An error of fn is returned as
// it is.
func (s *Store) UpdatePart(
	ctx context.Context, jobID string, index int,
	fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.find(ctx, jobID)
	if err == nil && (index < 0 || index >= len(rec.parts)) {
		err = bulkexport.ErrPartNotFound
	}
	if err != nil {
		return bulkexport.Part{}, fmt.Errorf("memstore: update part: %w", err)
	}
	part := clonePart(rec.parts[index])
	if err := fn(cloneJob(rec.job), &part); err != nil {
		return bulkexport.Part{}, err
	}
	rec.parts[index] = clonePart(part)
	rec.revision++
	return clonePart(part), nil
}

// Revision implements [bulkexport.StoreRevisions].
func (s *Store) Revision(ctx context.Context, id string) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, err := s.find(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("memstore: get revision: %w", err)
	}
	return rec.revision, nil
}

// Take implements [bulkexport.Limiter] for all who use this store, with
// [bulkexport.NewLimiter].
func (s *Store) Take(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
	wait, err := s.limiter.Take(ctx, key, cost, burst)
	if err != nil {
		return 0, fmt.Errorf("memstore: take: %w", err)
	}
	return wait, nil
}

// find is to be called with s.mu held. It looks at the context too, since that
// may have ended while the caller waited for the lock.
func (s *Store) find(ctx context.Context, id string) (*record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rec, ok := s.jobs[id]
	if !ok {
		return nil, bulkexport.ErrJobNotFound
	}
	return rec, nil
}

func selects(f bulkexport.JobFilter, job bulkexport.Job) bool {
	switch {
	case job.ID <= f.After:
		return false
	case len(f.States) > 0 && !slices.Contains(f.States, job.State):
		return false
	case f.Tenant != nil && *f.Tenant != job.Tenant:
		return false
	case !f.ExpiredBy.IsZero():
		return !job.ExpiresAt.IsZero() && !job.ExpiresAt.After(f.ExpiredBy)
	}
	return true
}

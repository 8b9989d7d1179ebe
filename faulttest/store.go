package faulttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Store returns the store as the process sees it.
func (p *Process) Store(inner bulkexport.JobStore) bulkexport.JobStore {
	return &store{p: p, inner: inner}
}

type store struct {
	p     *Process
	inner bulkexport.JobStore
	// now, if not nil, is the time where it is moved on instead of passing.
	now func() time.Time
}

func (s *store) read(method string, fn func() error) error {
	return s.p.call(Call{Seam: SeamStore, Method: method}, fn)
}

func (s *store) write(method, about string, fn func() error) error {
	return s.p.call(Call{Seam: SeamStore, Method: method, About: about, Effect: true}, fn)
}

// CreateJob implements [bulkexport.JobStore].
func (s *store) CreateJob(ctx context.Context, job bulkexport.Job) error {
	return s.write("CreateJob", "", func() error { return s.inner.CreateJob(ctx, job) })
}

// Job implements [bulkexport.JobStore].
func (s *store) Job(ctx context.Context, id string) (bulkexport.Job, error) {
	return answer(s.read, "Job", func() (bulkexport.Job, error) { return s.inner.Job(ctx, id) })
}

// Jobs implements [bulkexport.JobStore].
func (s *store) Jobs(ctx context.Context, filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	return answer(s.read, "Jobs", func() ([]bulkexport.Job, error) { return s.inner.Jobs(ctx, filter) })
}

// Parts implements [bulkexport.JobStore].
func (s *store) Parts(ctx context.Context, jobID string) ([]bulkexport.Part, error) {
	return answer(s.read, "Parts", func() ([]bulkexport.Part, error) { return s.inner.Parts(ctx, jobID) })
}

// Revision implements [bulkexport.StoreRevisions], as far as the store under test
// does.
func (s *store) Revision(ctx context.Context, id string) (int64, error) {
	revisions, ok := s.inner.(bulkexport.StoreRevisions)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	return answer(s.read, "Revision", func() (int64, error) { return revisions.Revision(ctx, id) })
}

// Time implements [bulkexport.StoreClock], as far as the store under test does.
func (s *store) Time(ctx context.Context) (time.Time, error) {
	clock, ok := s.inner.(bulkexport.StoreClock)
	if !ok {
		return time.Time{}, errors.ErrUnsupported
	}
	at, err := answer(s.read, "Time", func() (time.Time, error) { return clock.Time(ctx) })
	if err == nil && s.now != nil {
		at = s.now().UTC()
	}
	return at, err
}

// UpdateJob implements [bulkexport.JobStore].
func (s *store) UpdateJob(
	ctx context.Context, id string, fn func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	return answer(s.about(""), "UpdateJob", func() (bulkexport.Job, error) { return s.inner.UpdateJob(ctx, id, fn) })
}

// DeleteJob implements [bulkexport.JobStore].
func (s *store) DeleteJob(ctx context.Context, id string) error {
	return s.write("DeleteJob", "", func() error { return s.inner.DeleteJob(ctx, id) })
}

// SetParts implements [bulkexport.JobStore].
func (s *store) SetParts(ctx context.Context, jobID string, parts []bulkexport.Part) error {
	return s.write("SetParts", "", func() error { return s.inner.SetParts(ctx, jobID, parts) })
}

// UpdatePart implements [bulkexport.JobStore].
func (s *store) UpdatePart(
	ctx context.Context, jobID string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	return answer(s.about(fmt.Sprintf("part %d", index)), "UpdatePart", func() (bulkexport.Part, error) {
		return s.inner.UpdatePart(ctx, jobID, index, fn)
	})
}

func (s *store) about(about string) func(string, func() error) error {
	return func(method string, fn func() error) error { return s.write(method, about, fn) }
}

// answer makes a call that has a result, which is lost where the call fails.
func answer[T any](
	call func(method string, fn func() error) error, method string, fn func() (T, error),
) (T, error) {
	var result T
	err := call(method, func() (err error) {
		result, err = fn()
		return err
	})
	if err != nil {
		var none T
		return none, err
	}
	return result, nil
}

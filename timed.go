package bulkexport

import (
	"context"
	"time"
)

// storeTimeout bounds a call of the store. A connection that is half open would
// otherwise keep a worker, or all of them, until the operating system gives up,
// which may take a quarter of an hour.
const storeTimeout = 30 * time.Second

// timedStore is a store whose calls end.
type timedStore struct{ store JobStore }

// CreateJob implements [JobStore].
func (s timedStore) CreateJob(ctx context.Context, job Job) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.CreateJob(ctx, job)
}

// Job implements [JobStore].
func (s timedStore) Job(ctx context.Context, id string) (Job, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.Job(ctx, id)
}

// UpdateJob implements [JobStore].
func (s timedStore) UpdateJob(ctx context.Context, id string, fn func(*Job) error) (Job, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.UpdateJob(ctx, id, fn)
}

// Jobs implements [JobStore].
func (s timedStore) Jobs(ctx context.Context, filter JobFilter) ([]Job, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.Jobs(ctx, filter)
}

// DeleteJob implements [JobStore].
func (s timedStore) DeleteJob(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.DeleteJob(ctx, id)
}

// SetParts implements [JobStore].
func (s timedStore) SetParts(ctx context.Context, jobID string, parts []Part) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.SetParts(ctx, jobID, parts)
}

// Parts implements [JobStore].
func (s timedStore) Parts(ctx context.Context, jobID string) ([]Part, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.Parts(ctx, jobID)
}

// UpdatePart implements [JobStore].
func (s timedStore) UpdatePart(
	ctx context.Context, jobID string, index int, fn func(Job, *Part) error,
) (Part, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.UpdatePart(ctx, jobID, index, fn)
}

// timedRevisions are revisions that are told in time.
type timedRevisions struct{ store StoreRevisions }

// Revision implements [StoreRevisions].
func (s timedRevisions) Revision(ctx context.Context, id string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return s.store.Revision(ctx, id)
}

// timedLimiter is the limiter of a store, whose calls end.
type timedLimiter struct{ limiter Limiter }

// Take implements [Limiter].
func (l timedLimiter) Take(ctx context.Context, key string, cost, burst time.Duration) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return l.limiter.Take(ctx, key, cost, burst)
}

package faulttest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
)

// brokenPart breaks one promise, and says which invariants may be the first to
// fall.
type brokenPart struct {
	name string
	// first changes the parts of the first process, next those of all others.
	// Nil next means that they share what first has made.
	first, next change
	// kinds are the kinds of faults that show it; nil if none is needed.
	kinds  []faulttest.Kind
	caught []faulttest.Invariant
}

type change = func(faulttest.Parts) faulttest.Parts

func brokenParts() []brokenPart {
	return slices.Concat(brokenStores(), brokenSinks(), brokenSources())
}

func TestBrokenPartsAreCaught(t *testing.T) {
	t.Parallel()
	for _, b := range brokenParts() {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			h := representative()
			h.Kinds = b.kinds
			h.Open = func(t *testing.T) faulttest.Parts {
				t.Helper()
				return b.first(plainMemory(t))
			}
			if b.next != nil {
				h.Reopen = func(_ *testing.T, opened faulttest.Parts) faulttest.Parts { return b.next(opened) }
			}
			err := faulttest.Find(t, h)
			require.Error(t, err)
			t.Log(err)
			require.True(t, slices.ContainsFunc(b.caught, func(i faulttest.Invariant) bool {
				return strings.Contains(err.Error(), string(i)+": ")
			}), "it is caught as something else")
		})
	}
}

// storeOf is a store whose methods can be replaced.
type storeOf struct {
	bulkexport.JobStore
	right      bulkexport.JobStore // what it is made of
	createJob  func(context.Context, bulkexport.Job) error
	updateJob  func(context.Context, string, func(*bulkexport.Job) error) (bulkexport.Job, error)
	updatePart updatePart
}

type updatePart func(
	ctx context.Context, id string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error)

func (s *storeOf) CreateJob(ctx context.Context, job bulkexport.Job) error {
	return s.createJob(ctx, job)
}

func (s *storeOf) UpdateJob(
	ctx context.Context, id string, fn func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	return s.updateJob(ctx, id, fn)
}

func (s *storeOf) UpdatePart(
	ctx context.Context, id string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	return s.updatePart(ctx, id, index, fn)
}

// brokenStore breaks a store that is right otherwise.
func brokenStore(breaks func(inner bulkexport.JobStore, s *storeOf)) func(faulttest.Parts) faulttest.Parts {
	return func(p faulttest.Parts) faulttest.Parts {
		inner := p.Store
		if broken, ok := inner.(*storeOf); ok {
			inner = broken.right
		}
		s := &storeOf{
			right: inner, JobStore: inner, createJob: inner.CreateJob, updateJob: inner.UpdateJob, updatePart: inner.UpdatePart,
		}
		breaks(inner, s)
		p.Store = s
		return p
	}
}

func brokenStores() []brokenPart {
	refusalsIgnored := brokenStore(func(inner bulkexport.JobStore, s *storeOf) {
		s.updatePart = func(ctx context.Context, id string, index int,
			fn func(bulkexport.Job, *bulkexport.Part) error,
		) (bulkexport.Part, error) {
			return inner.UpdatePart(ctx, id, index, func(j bulkexport.Job, p *bulkexport.Part) error {
				_ = fn(j, p)
				return nil
			})
		}
	})
	cached := brokenStore(cachedParts)
	late := brokenStore(lateWrites)
	tired := brokenStore(func(inner bulkexport.JobStore, s *storeOf) {
		ended := false
		s.updatePart = func(ctx context.Context, id string, index int,
			fn func(bulkexport.Job, *bulkexport.Part) error,
		) (bulkexport.Part, error) {
			if ended = ended || ctx.Err() != nil; ended {
				return bulkexport.Part{}, errors.New("no connection")
			}
			return inner.UpdatePart(ctx, id, index, fn)
		}
	})
	forgetful := brokenStore(func(inner bulkexport.JobStore, s *storeOf) {
		s.updateJob = func(
			ctx context.Context, id string, fn func(*bulkexport.Job) error,
		) (bulkexport.Job, error) {
			return inner.UpdateJob(ctx, id, func(j *bulkexport.Job) error {
				if err := fn(j); err != nil {
					return err
				}
				if j.State == bulkexport.JobDeleted {
					j.State = bulkexport.JobCompleted
				}
				return nil
			})
		}
	})
	return []brokenPart{
		{"store ignores refusals", refusalsIgnored, nil, kinds(faulttest.Redeliver, faulttest.Pause),
			falls(faulttest.SameFiles, faulttest.Honest, faulttest.Ends)},
		{"store lets processes keep their own parts", cached, cached, kinds(faulttest.FreezeBefore),
			falls(faulttest.SameFiles, faulttest.Final, faulttest.Progress)},
		{"store writes late", late, late, kinds(faulttest.KillAfter), falls(faulttest.Ends)},
		{"store fails after a cancelled call", tired, tired, kinds(faulttest.StopAfter), falls(faulttest.Prompt)},
		{"store loses the deletion", forgetful, nil, nil, falls(faulttest.Deleted)},
	}
}

func kinds(k ...faulttest.Kind) []faulttest.Kind           { return k }
func falls(i ...faulttest.Invariant) []faulttest.Invariant { return i }

// cachedParts has a process believe what it wrote itself, so that it is not
// fenced out.
func cachedParts(inner bulkexport.JobStore, s *storeOf) {
	var mu sync.Mutex
	own := map[string]bulkexport.Part{}
	s.updatePart = func(ctx context.Context, id string, index int,
		fn func(bulkexport.Job, *bulkexport.Part) error,
	) (bulkexport.Part, error) {
		mu.Lock()
		defer mu.Unlock()
		name := fmt.Sprint(id, index)
		part, err := inner.UpdatePart(ctx, id, index, func(j bulkexport.Job, p *bulkexport.Part) error {
			if cached, ok := own[name]; ok {
				*p = cached
			}
			return fn(j, p)
		})
		if err == nil {
			own[name] = part
		}
		return part, err
	}
}

// lateWrites stores a new job with the next call.
func lateWrites(inner bulkexport.JobStore, s *storeOf) {
	var mu sync.Mutex
	var pending func()
	flush := func() {
		mu.Lock()
		defer mu.Unlock()
		if pending != nil {
			pending()
			pending = nil
		}
	}
	s.createJob = func(ctx context.Context, job bulkexport.Job) error {
		mu.Lock()
		defer mu.Unlock()
		pending = func() { _ = inner.CreateJob(context.WithoutCancel(ctx), job) }
		return nil
	}
	s.updateJob = func(ctx context.Context, id string, fn func(*bulkexport.Job) error) (bulkexport.Job, error) {
		flush()
		return inner.UpdateJob(ctx, id, fn)
	}
	s.JobStore = flushing{inner, flush}
}

// flushing calls a function before it reads.
type flushing struct {
	bulkexport.JobStore
	flush func()
}

func (s flushing) Job(ctx context.Context, id string) (bulkexport.Job, error) {
	s.flush()
	return s.JobStore.Job(ctx, id)
}

func (s flushing) Jobs(ctx context.Context, filter bulkexport.JobFilter) ([]bulkexport.Job, error) {
	s.flush()
	return s.JobStore.Jobs(ctx, filter)
}

//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// clear deletes all jobs, and waits until nothing is left of any.
func (s *soak) clear(ctx context.Context, rng *rand.Rand) {
	for j := s.kept.take(rng); j != nil && ctx.Err() == nil; j = s.kept.take(rng) {
		if err := j.delete(ctx, rng); err != nil {
			return
		}
	}
	if err := s.adopt(ctx, rng); err != nil && ctx.Err() == nil {
		s.violate("look for jobs: %v", err)
	}
	left := "unknown"
	for began := time.Now(); left != "" && time.Since(began) < cleanAfter; {
		var err error
		if left, err = s.store.left(ctx); err != nil && ctx.Err() == nil {
			s.violate("look for what is left: %v", err)
			return
		}
		if left != "" && !pause(ctx, 100*time.Millisecond) {
			return
		}
	}
	if left != "" {
		s.violate("%v after the last deletion there is still: %s", cleanAfter, left)
	}
}

// adopt deletes jobs whose client has got no answer to the kick-off, and so knows
// nothing of them. There are not more than such kick-offs.
func (s *soak) adopt(ctx context.Context, rng *rand.Rand) error {
	ids, err := s.store.jobs(ctx)
	if err != nil {
		return err
	}
	adopted := int64(0)
	for _, id := range ids {
		for _, c := range s.callers {
			r, err := s.do(ctx, rng, call{method: http.MethodDelete, path: "/bulk-export/" + id, token: c.token})
			if err != nil {
				return err
			}
			if r.status == http.StatusNoContent {
				adopted++
			}
		}
	}
	if lost := s.count.lost.Load(); adopted > lost {
		s.violate("%d jobs of nobody after %d kick-offs without an answer", adopted, lost)
	}
	return nil
}

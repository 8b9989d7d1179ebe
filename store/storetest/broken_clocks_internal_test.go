package storetest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

var _ bulkexport.StoreClock = (*faulty)(nil)

func (s *faulty) Time(ctx context.Context) (time.Time, error) { return s.time(ctx) }

func timeOfDay(ctx context.Context) (time.Time, error) { return time.Now().UTC(), ctx.Err() }

// wrongClocks tell the time wrongly.
func wrongClocks() []brokenStore {
	goesOn, sameClock := "clocks/the time goes on and never back", "persistence/another store has the same clock"
	return []brokenStore{
		{"the time of a zone", breaking(func(s *faulty) {
			s.time = func(context.Context) (time.Time, error) { return time.Now().In(time.FixedZone("", 3600)), nil }
		}), []string{"clocks/the time is in UTC"}},
		{"the clock stands still", breaking(func(s *faulty) {
			s.time = func(context.Context) (time.Time, error) { return time.Unix(1, 0).UTC(), nil }
		}), []string{goesOn}},
		{"the clock jumps back", breaking(func(s *faulty) {
			var calls atomic.Int64
			s.time = func(context.Context) (time.Time, error) {
				return time.Now().UTC().Add(-time.Minute * time.Duration(calls.Add(1)%7)), nil
			}
		}), []string{goesOn}},
		{"each process has its own clock", differingClocks(), []string{sameClock}},
		{"the time is told for ever", breaking(func(s *faulty) {
			s.time = func(context.Context) (time.Time, error) { return time.Now().UTC(), nil }
		}), []string{"clocks/an ended context ends the call"}},
	}
}

func differingClocks() func() stores {
	var opened atomic.Int64
	return breakingPair(func(s *faulty) {
		ahead := time.Hour * time.Duration(opened.Add(1))
		s.time = func(context.Context) (time.Time, error) { return time.Now().UTC().Add(ahead), nil }
	})
}

func TestStoreMayHaveNoClockAfterAll(t *testing.T) {
	t.Parallel()
	on := breaking(func(s *faulty) {
		s.time = func(context.Context) (time.Time, error) { return time.Time{}, errors.ErrUnsupported }
	})()
	for _, c := range clockCases() {
		for _, failure := range failures(t, c, on) {
			t.Errorf("%s fails: %s", c, failure)
		}
	}
}

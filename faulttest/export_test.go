package faulttest

import (
	"errors"
	"math/rand/v2"
	"testing"
)

// Find explores like Run, and returns the first failure.
func Find(t *testing.T, h Harness) error {
	t.Helper()
	x, err := explore(t, h)
	if err != nil {
		return err
	}
	for _, schedule := range x.matrix {
		if err := x.try(schedule); err != nil {
			return err
		}
	}
	random := rand.New(rand.NewPCG(x.harness.Seed, 0))
	for range x.harness.Schedules {
		if err := x.try(x.schedule(random)); err != nil {
			return err
		}
	}
	return nil
}

// Explore returns a function that runs one schedule of the harness, and how many
// calls there are without faults.
func Explore(t *testing.T, h Harness) (try func(Schedule) error, calls int) {
	t.Helper()
	x, err := explore(t, h)
	if err != nil {
		t.Fatal(err)
	}
	return func(schedule Schedule) error {
		r, err := x.once(schedule)
		if err == nil || r == nil {
			return err
		}
		return errors.Join(err, x.open())
	}, len(x.calls)
}

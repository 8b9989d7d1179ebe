package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/runner/riverrunner"
)

// twice is a runner that performs each task two times, as an engine may that has
// lost track of what it delivered: now both at once, now one after the other. It is
// for tests of what survives that.
type twice struct {
	*riverrunner.Runner
}

// Start implements bulkexport.Runner.
func (t twice) Start(ctx context.Context, fn func(context.Context, bulkexport.Task) error) error {
	return t.Runner.Start(ctx, repeat(fn))
}

// repeat returns a function that performs tasks twice. A task that fails either
// time has failed.
func repeat(fn func(context.Context, bulkexport.Task) error) func(context.Context, bulkexport.Task) error {
	var count atomic.Int64
	return func(ctx context.Context, task bulkexport.Task) error {
		if count.Add(1)%2 == 0 {
			return errors.Join(fn(ctx, task), fn(ctx, task))
		}
		var other sync.WaitGroup
		var otherErr error
		other.Go(func() { otherErr = fn(ctx, task) })
		err := fn(ctx, task)
		other.Wait()
		return errors.Join(err, otherErr)
	}
}

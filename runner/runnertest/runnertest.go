// Package runnertest proves that a [bulkexport.Runner] keeps the promises of its
// contract. The author of a runner calls [Run] from a test:
//
//	func TestRunner(t *testing.T) {
//		runnertest.Run(t, runnertest.Harness{
//			Open: func(t *testing.T, s runnertest.Settings) bulkexport.Runner {
//				return myrunner.New(s.Workers)
//			},
//			Skip: map[runnertest.Category]string{runnertest.Ceilings: "it has none"},
//		})
//	}
//
// Run it with the race detector too. There are no thresholds of time in it: what
// has to come is waited for, so long that only a broken runner takes longer. What
// must not come is looked for until a second runner, opened beside the one under
// test, has performed tasks that it was given later.
//
// What it asks for beyond the letter of the contract, or leaves open:
//
//   - Strings are UTF-8 without NUL, and tenants differ byte for byte.
//   - As long as nothing goes wrong, a task that has succeeded does not come
//     again, and none is performed twice at the same time. One that was enqueued
//     while it was performed may begin before that has ended.
//   - A task that is enqueued over and over while it waits is performed less
//     often than that: the exporter's sweeps enqueue all that waits, every time.
//   - Other tasks than parts need not count towards the workers.
//   - A task that CancelJob interrupts may come again, once more.
//   - With [Harness.Join] the queue is that of all nodes and outlives each of
//     them, and CancelJob interrupts on all of them. What a dead node was at is
//     performed by another, within five minutes.
//   - Schedules do not wait for each other. Stop interrupts their functions as it
//     does tasks.
//
// It cannot see what becomes of a queue when its database goes away: prove that
// in the runner's own tests.
package runnertest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Category groups cases, so that a runner can say what does not apply to it.
type Category string

// The categories.
const (
	// Delivery: each task is performed, as it is, until it succeeds.
	Delivery Category = "delivery"
	// Workers: as many parts at once as there are workers, no more and no fewer.
	Workers Category = "workers"
	// Goexit: a task that ends its goroutine, as a failing test does, costs no
	// worker.
	Goexit Category = "goexit"
	// Turns: a tenant with much to do does not keep others waiting until it is done.
	Turns Category = "turns"
	// Stopping: tasks are interrupted and waited for, and no more are taken.
	Stopping Category = "stopping"
	// Contexts: what fn's context has, and what does not end it.
	Contexts Category = "contexts"
	// Cancelling: one job's tasks go, and no others. Only for a
	// [bulkexport.RunnerCanceler].
	Cancelling Category = "cancelling"
	// Schedules: what is to be done regularly is, at one place. Only for a
	// [bulkexport.RunnerScheduler].
	Schedules Category = "schedules"
	// Ceilings: parts are bounded by job, by tenant and in total.
	Ceilings Category = "ceilings"
	// Nodes: several runners share one queue. Only with [Harness.Join].
	Nodes Category = "nodes"
)

// Settings is what a case asks of the runner that it works with.
type Settings struct {
	// Workers is how many parts the runner performs at once: from 1 to 8.
	Workers int
	// Ceilings bound them besides. Zero but in cases of the category Ceilings.
	Ceilings bulkexport.Ceilings
}

// Harness makes the runner under test.
type Harness struct {
	// Open returns a runner that is not started, with an empty queue of its own. It
	// is called up to twice for each case. The suite stops what it has
	// started; what else a runner holds is released by t.Cleanup. Required.
	Open func(t *testing.T, s Settings) bulkexport.Runner
	// Join returns another runner on the queue of one that Open has returned to the
	// same case with the same settings, as another node would have it. Nil means
	// that a queue belongs to one runner: cases with several are skipped.
	Join func(t *testing.T, opened bulkexport.Runner, s Settings) bulkexport.Runner
	// Abandon does to a runner, as far as others can see, what a kill does to its
	// process: it vanishes from their sight in the middle of its tasks. Functions
	// that it has called may go on. It is not stopped nor used any more. Nil means
	// that cases with dead nodes are skipped.
	Abandon func(t *testing.T, r bulkexport.Runner)
	// Skip names the categories that do not apply, each with the reason. The
	// default is to skip none.
	Skip map[Category]string
}

// patience is how long anything may take that has to come.
const patience = 30 * time.Second

// Run runs all cases as subtests, named category/case, one after the other.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil {
		t.Fatal("runnertest: Harness.Open is required")
	}
	for _, c := range allCases() {
		t.Run(c.String(), func(t *testing.T) {
			if reason, ok := h.Skip[c.category]; ok {
				t.Skip(reason)
			}
			c.try(t, t, h)
		})
	}
}

// tester is what a case uses of *testing.T, so that the suite's own test can
// run it where it has to fail.
type tester interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skip(args ...any)
}

type testCase struct {
	category Category
	name     string
	run      func(t *env)
}

func (c testCase) String() string { return string(c.category) + "/" + c.name }

// try runs the case on runners that belong to t, and complains to complaints.
func (c testCase) try(t *testing.T, complaints tester, h Harness) {
	e := &env{tester: complaints, t: t, harness: h, over: make(chan struct{})}
	defer e.close()
	c.run(e)
}

func allCases() []testCase {
	return slices.Concat(
		deliveryCases(), workersCases(), turnsCases(), stoppingCases(), contextsCases(),
		cancellingCases(), schedulesCases(), ceilingsCases(), nodesCases(),
	)
}

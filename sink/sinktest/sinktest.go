// Package sinktest proves that a [bulkexport.OutputSink] keeps the promises of
// its contract. The author of a sink calls [Run] from a test:
//
//	func TestSink(t *testing.T) {
//		sinktest.Run(t, sinktest.Harness{
//			Open: func(t *testing.T) bulkexport.OutputSink { return mysink.New() },
//		})
//	}
//
// Run it with the race detector too. What it makes of points that the contract
// leaves open:
//
//   - A job id or a name that the contract does not allow may be refused, or be
//     taken as one of its own. It must not reach the file of any other.
//   - Writing is refused from the first Write after the context has ended.
//   - A Create that meets a DeleteJob of the same job succeeds. Its writer may
//     fail.
//
// It cannot see what a sink leaves behind in its medium, nor what of it lasts
// when the machine fails: prove these in the sink's own tests.
package sinktest

import (
	"context"
	"slices"
	"testing"

	"github.com/bulkexport/bulkexport"
)

// Category groups cases, so that a sink can say what does not apply to it.
type Category string

// The categories.
const (
	// Visibility: a file is seen whole from its commit on, and never before.
	Visibility Category = "visibility"
	// Content: what was written is what is read, at any length and offset.
	Content Category = "content"
	// Isolation: no job id and no name reaches the file of another.
	Isolation Category = "isolation"
	// Deletion: the files of one job go, all of them, and of no other.
	Deletion Category = "deletion"
	// Cancellation: an ended context ends the writer.
	Cancellation Category = "cancellation"
	// Concurrency: parallel calls do not get in each other's way.
	Concurrency Category = "concurrency"
	// Inventory: all there is can be listed, and goes file by file. Only for a
	// [bulkexport.SinkInventory].
	Inventory Category = "inventory"
	// Persistence: committed files are there for a second sink on the same data.
	Persistence Category = "persistence"
)

// Harness makes the sink under test.
type Harness struct {
	// Open returns a sink without files. It is called once for each case; what
	// the sink holds is released by t.Cleanup. Required.
	Open func(t *testing.T) bulkexport.OutputSink
	// Reopen returns another sink on the data of the one that Open has just
	// returned to the same test, as if the process had died and was started
	// again. The one before is not used any more, but writers on it may not have
	// been ended. Nil means that files end with the sink: Persistence is skipped.
	Reopen func(t *testing.T, opened bulkexport.OutputSink) bulkexport.OutputSink
	// Skip names the categories that do not apply, each with the reason. The
	// default is to skip none.
	Skip map[Category]string
}

// Run runs all cases as subtests, named category/case, one after the other.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil {
		t.Fatal("sinktest: Harness.Open is required")
	}
	for _, c := range allCases() {
		t.Run(c.String(), func(t *testing.T) {
			if reason, ok := h.skipped(c.category); ok {
				t.Skip(reason)
			}
			sink := h.Open(t)
			if _, ok := sink.(bulkexport.SinkInventory); !ok && c.category == Inventory {
				t.Skip("the sink is no SinkInventory")
			}
			c.run(&env{
				tester: t,
				sink:   sink,
				reopen: func() bulkexport.OutputSink { return h.Reopen(t, sink) },
			})
		})
	}
}

func (h Harness) skipped(c Category) (string, bool) {
	if c == Persistence && h.Reopen == nil {
		return "the harness has no Reopen", true
	}
	reason, ok := h.Skip[c]
	return reason, ok
}

// tester is what a case uses of *testing.T, so that the suite's own test can
// run it where it has to fail.
type tester interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// env is what a case works with.
type env struct {
	tester
	sink   bulkexport.OutputSink
	reopen func() bulkexport.OutputSink // Persistence only
}

type testCase struct {
	category Category
	name     string
	run      func(t *env)
}

func (c testCase) String() string { return string(c.category) + "/" + c.name }

func allCases() []testCase {
	return slices.Concat(
		visibilityCases(), replacementCases(), contentCases(), readerCases(), isolationCases(),
		deletionCases(), cancellationCases(), concurrencyCases(), inventoryCases(), persistenceCases(),
	)
}

// Package storetest proves that a [bulkexport.JobStore] keeps the promises of
// its contract. The author of a store calls [Run] from a test:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, storetest.Harness{
//			Open: func(t *testing.T) bulkexport.JobStore { return mystore.New() },
//		})
//	}
//
// What it asks for beyond the letter of the contract, or leaves open:
//
//   - Ids of stored jobs have the form of [bulkexport.ValidJobID]. Look-ups may
//     carry anything, and anything else is absent.
//   - Stored strings are UTF-8 without NUL. They come back byte for byte, and
//     tenants are compared byte for byte.
//   - Keys are any bytes. A nil slice stays nil, since nil means an open range;
//     an empty one may come back as nil.
//   - Fields are found by reflection: one that is added to [bulkexport.Job] or
//     [bulkexport.Part] later is covered by the day it appears.
//   - Cases that provoke a race let the rival try for a moment. A store that
//     keeps rivals out passes however slow it is.
//   - What calls at once on one job answer must fit an order in which each comes
//     between its beginning and its end. A read does not go back to what was
//     before an earlier read.
//
// The cases with random calls make a hundred runs each. More, and longer ones,
// come with the flags of [pgregory.net/rapid]:
//
//	go test -race -run '/.*/random' -rapid.checks=5000 -rapid.steps=100
//
// A sequence that fails is made short before it is shown, and kept in
// testdata/rapid, from where it is tried first until that file is removed.
package storetest

import (
	"context"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
)

// Category groups cases, so that a store can say what does not apply to it.
type Category string

// The categories.
const (
	// Basics: what is stored is read back, whole and in order.
	Basics Category = "basics"
	// Absent: what does not exist is told by the right error.
	Absent Category = "absent"
	// Copies: no slice or map is shared between store and caller.
	Copies Category = "copies"
	// Times: UTC, to the microsecond, zero stays zero.
	Times Category = "times"
	// Refusals: an error from an update's function undoes the update.
	Refusals Category = "refusals"
	// Hostile: strings and keys that break quoting, encoding or comparing.
	Hostile Category = "hostile"
	// Filters: what Jobs selects, its order, and paging.
	Filters Category = "filters"
	// Plans: SetParts works once and as a whole.
	Plans Category = "plans"
	// Deletion: nothing is left, and the id is free again.
	Deletion Category = "deletion"
	// Cancellation: an ended context ends the call.
	Cancellation Category = "cancellation"
	// Atomicity: concurrent calls on one store do not get in each other's way.
	Atomicity Category = "atomicity"
	// Persistence: a second store over the same data sees what the first did.
	Persistence Category = "persistence"
	// Sequences: random calls, one after the other, are answered as a model of the
	// contract answers them.
	Sequences Category = "sequences"
	// Revisions: a store that is a [bulkexport.StoreRevisions] notices each change.
	// All others need not skip it.
	Revisions Category = "revisions"
	// Clocks: a store that is a [bulkexport.StoreClock] has a clock that goes on, the
	// same for all. All others need not skip it.
	Clocks Category = "clocks"
	// Limits: a store that is a [bulkexport.Limiter] counts as a model does, and says
	// truly how long to wait. All others need not skip it.
	Limits Category = "limits"
	// Sharing: the cases of Atomicity, with calls spread over two stores over
	// the same data, as two processes would make them.
	Sharing Category = "sharing"
)

// Harness makes the store under test.
type Harness struct {
	// Open returns an empty store. It is called once for each case; what the
	// store holds is released by t.Cleanup. Required.
	Open func(t *testing.T) bulkexport.JobStore
	// Reopen returns another store over the data of one that Open has returned
	// to the same case, as a second process would make it. Both are used from
	// then on. It is called any number of times, also with the t of a subtest: what
	// t.Cleanup releases goes before what Open returned. Nil means that the data
	// ends with the store: Persistence and Sharing are skipped.
	Reopen func(t *testing.T, opened bulkexport.JobStore) bulkexport.JobStore
	// Skip names the categories that do not apply, each with the reason. The
	// default is to skip none.
	Skip map[Category]string
}

// Run runs all cases as subtests, named category/case, one after the other.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil {
		t.Fatal("storetest: Harness.Open is required")
	}
	for _, c := range allCases() {
		t.Run(c.String(), func(t *testing.T) {
			if reason, ok := h.skipped(c); ok {
				t.Skip(reason)
			}
			s := h.Open(t)
			on := stores{s: s, rival: s}
			if c.twoStores() {
				on.rival = h.Reopen(t, s)
				on.reopen = func() (bulkexport.JobStore, func()) { return h.reopenFor(t, s) }
			}
			c.run(t, on)
		})
	}
}

func (h Harness) skipped(c testCase) (string, bool) {
	if c.twoStores() && h.Reopen == nil {
		return "the harness has no Reopen", true
	}
	reason, ok := h.Skip[c.category]
	return reason, ok
}

// reopenFor has a subtest own the store, so that it is released before the case
// has ended.
func (h Harness) reopenFor(t *testing.T, opened bulkexport.JobStore) (bulkexport.JobStore, func()) {
	t.Helper()
	var running sync.WaitGroup
	reopened, released := make(chan bulkexport.JobStore), make(chan struct{})
	running.Go(func() {
		defer close(reopened)
		t.Run("reopened", func(t *testing.T) {
			reopened <- h.Reopen(t, opened)
			<-released
		})
	})
	s, ok := <-reopened
	if !ok {
		t.FailNow()
	}
	return s, func() {
		close(released)
		running.Wait()
	}
}

// tester is what a case uses of *testing.T, so that the suite's own test can
// run it where it has to fail.
type tester interface {
	rapid.TB
	Context() context.Context
}

type testCase struct {
	category Category
	name     string
	run      func(t tester, on stores)
}

// stores are what a case works on.
type stores struct {
	// s is empty at first. rival is the same store again, or a second one over
	// the same data.
	s, rival bulkexport.JobStore
	// reopen returns one more over the same data, to be used until release is
	// called. It is nil where rival is s.
	reopen func() (s bulkexport.JobStore, release func())
}

func (c testCase) String() string { return string(c.category) + "/" + c.name }

func (c testCase) twoStores() bool {
	return c.category == Persistence || c.category == Sharing
}

// alone makes the body of a case that needs no rival.
func alone(run func(t tester, s bulkexport.JobStore)) func(tester, stores) {
	return func(t tester, on stores) { run(t, on.s) }
}

// both makes the body of a case that needs no more than the two.
func both(run func(t tester, s, rival bulkexport.JobStore)) func(tester, stores) {
	return func(t tester, on stores) { run(t, on.s, on.rival) }
}

func allCases() []testCase {
	atomic := slices.Concat(updateRaceCases(), deleteRaceCases(), planRaceCases(), limitRaceCases(), historyCases())
	shared := slices.Clone(atomic)
	for i := range shared {
		shared[i].category = Sharing
	}
	return slices.Concat(
		basicCases(), absentCases(), copyCases(), timeCases(), refusalCases(), hostileCases(),
		filterCases(), planCases(), deletionCases(), cancellationCases(), sequenceCases(),
		revisionCases(), clockCases(), limitCases(), atomic, persistenceCases(), shared,
	)
}

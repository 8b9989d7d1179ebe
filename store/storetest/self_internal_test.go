// The suite is tested from within the package: its cases are not exported, and
// each of them has to be run where it must fail.
package storetest

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
)

// brokenStore is a store that breaks one rule.
type brokenStore struct {
	fault string
	open  func() stores
	// caughtBy are the cases that must fail on it.
	caughtBy []string
}

func TestCorrectStorePasses(t *testing.T) {
	t.Parallel()
	for _, c := range allCases() {
		on := breaking(func(*faulty) {})()
		if c.twoStores() {
			on = breakingPair(func(*faulty) {})()
		}
		for _, failure := range failures(t, c, on) {
			t.Errorf("%s fails on a correct store: %s", c, failure)
		}
	}
}

func TestBrokenStoresAreCaught(t *testing.T) {
	t.Parallel()
	for _, broken := range brokenStores() {
		t.Run(broken.fault, func(t *testing.T) {
			t.Parallel()
			for _, name := range broken.caughtBy {
				if !broken.isCaughtBy(t, caseNamed(t, name)) {
					t.Errorf("%s does not notice", name)
				}
			}
		})
	}
}

// isCaughtBy tries a few times, since a race that goes well once proves nothing.
func (b brokenStore) isCaughtBy(t *testing.T, c testCase) bool {
	t.Helper()
	for range 20 {
		if len(failures(t, c, b.open())) > 0 {
			return true
		}
	}
	return false
}

// TestEveryCaseCatches demands of each case that some broken store needs it.
// Sharing runs the same cases as Atomicity.
func TestEveryCaseCatches(t *testing.T) {
	t.Parallel()
	var catching []string
	for _, broken := range brokenStores() {
		catching = append(catching, broken.caughtBy...)
	}
	for _, c := range allCases() {
		if c.category != Sharing && !slices.Contains(catching, c.String()) {
			t.Errorf("no broken store is caught by %s", c)
		}
	}
}

// TestSequencesAreShort wants hardly more calls than are needed to show the fault:
// create, plan, delete, create, read.
//
//nolint:paralleltest // it sets flags for all
func TestSequencesAreShort(t *testing.T) {
	setFlag(t, "rapid.steps", "15")
	setFlag(t, "rapid.checks", "2000")
	setFlag(t, "rapid.shrinktime", "1m")
	i := slices.IndexFunc(brokenStores(), func(b brokenStore) bool { return b.fault == "deletion leaves the parts" })
	r := &recorder{ctx: t.Context()}
	r.run(caseNamed(t, randomly), brokenStores()[i].open())
	shown := strings.Join(r.log, "\n")
	if strings.Contains(shown, "\n   8. ") {
		t.Errorf("five calls show that parts come back; got:\n%s", shown)
	}
	seen := strings.HasSuffix(shown, ", want 0") ||
		strings.HasSuffix(shown, "want error: "+bulkexport.ErrPartNotFound.Error())
	if !seen {
		t.Errorf("what is shown ends with the part that came back; got:\n%s", shown)
	}
}

func setFlag(t *testing.T, name, value string) {
	t.Helper()
	before := flag.Lookup(name).Value.String()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set(name, before) })
}

func TestHarnessSkips(t *testing.T) {
	t.Parallel()
	local := Harness{Skip: map[Category]string{Hostile: "a reason"}}
	shared := local
	shared.Reopen = func(_ *testing.T, s bulkexport.JobStore) bulkexport.JobStore { return s }
	for _, c := range []struct {
		harness  Harness
		category Category
		want     bool
	}{
		{local, Basics, false},
		{local, Hostile, true},
		{local, Persistence, true},
		{local, Sharing, true},
		{shared, Persistence, false},
		{shared, Sharing, false},
	} {
		if _, got := c.harness.skipped(testCase{category: c.category}); got != c.want {
			t.Errorf("category %s is skipped: got %t, want %t", c.category, got, c.want)
		}
	}
}

func caseNamed(t *testing.T, name string) testCase {
	t.Helper()
	cases := allCases()
	i := slices.IndexFunc(cases, func(c testCase) bool { return c.String() == name })
	if i < 0 {
		t.Fatalf("there is no case %q", name)
	}
	return cases[i]
}

// failures runs a case and returns what it complains about.
func failures(t *testing.T, c testCase, on stores) []string {
	t.Helper()
	r := &recorder{ctx: t.Context()}
	r.run(c, on)
	return r.complaints
}

// recorder takes the place of *testing.T.
type recorder struct {
	rapid.TB   // what is not below is not called
	ctx        context.Context
	mu         sync.Mutex
	complaints []string
	log        []string
}

func (r *recorder) run(c testCase, on stores) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(r, on)
	}()
	<-done
}

func (r *recorder) Helper() {}

func (r *recorder) Name() string { return "recorder" }

func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Logf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = append(r.log, fmt.Sprintf(format, args...))
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.complaints) > 0
}

func (r *recorder) FailNow() { runtime.Goexit() }

package runnertest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/runner/runnertest"
)

// recorder is a T in which a case may fail.
type recorder struct {
	ctx      context.Context
	mu       sync.Mutex
	failures []string
}

func (*recorder) Helper()                    {}
func (r *recorder) Context() context.Context { return r.ctx }

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	runtime.Goexit()
}

// Skip is a failure: the clusters of this test can do all that there is.
func (r *recorder) Skip(args ...any) { r.Fatalf("skipped: %v", args) }

func harness(f faults) runnertest.Harness {
	return runnertest.Harness{
		Open: func(_ *testing.T, s runnertest.Settings) bulkexport.Runner { return newCluster(s, f).join() },
		Join: func(_ *testing.T, opened bulkexport.Runner, _ runnertest.Settings) bulkexport.Runner {
			return opened.(*node).c.join()
		},
		Abandon: func(_ *testing.T, r bulkexport.Runner) { r.(*node).c.die(r.(*node)) },
	}
}

// failuresOf runs a case to its end and returns what it complains about.
func failuresOf(t *testing.T, name string, f faults) []string {
	t.Helper()
	var failures []string
	synctest.Test(t, func(t *testing.T) {
		r := &recorder{ctx: t.Context()}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			runnertest.RunCase(t, name, r, harness(f))
		}()
		<-ended
		<-time.After(2 * time.Hour) // whatever is only slow has ended then
		failures = r.failures
	})
	return failures
}

func TestCorrectRunnerPasses(t *testing.T) {
	t.Parallel()
	runnertest.Run(t, harness(faults{}))
}

func TestCorrectRunnerPassesInABubble(t *testing.T) {
	t.Parallel()
	for _, name := range runnertest.CaseNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, failure := range failuresOf(t, name, faults{}) {
				t.Error(failure)
			}
		})
	}
}

func TestBrokenRunnersAreCaught(t *testing.T) {
	t.Parallel()
	for fault, b := range brokenClusters() {
		for _, name := range b.caught {
			t.Run(fault+"/"+name, func(t *testing.T) {
				t.Parallel()
				if len(failuresOf(t, name, b.faults)) == 0 {
					t.Error("the case does not see the fault")
				}
			})
		}
	}
}

// TestEveryCaseCanFail keeps cases out that nothing would ever break.
func TestEveryCaseCanFail(t *testing.T) {
	t.Parallel()
	unproved := runnertest.CaseNames()
	for _, b := range brokenClusters() {
		unproved = slices.DeleteFunc(unproved, func(name string) bool {
			return slices.Contains(b.caught, name)
		})
	}
	if len(unproved) > 0 {
		t.Errorf("no broken runner is caught by %q", unproved)
	}
}

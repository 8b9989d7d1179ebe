package sinktest_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/sink/sinktest"
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

// failuresOf runs a case to its end and returns what it complains about.
func failuresOf(t *testing.T, name string, b broken) []string {
	t.Helper()
	r := &recorder{ctx: t.Context()}
	sink, reopen := b.open()
	var wg sync.WaitGroup
	wg.Go(func() { sinktest.RunCase(name, r, sink, reopen) })
	wg.Wait()
	return r.failures
}

// broken is a sink with one fault, and the cases that have to find it.
type broken struct {
	open   func() (s bulkexport.OutputSink, reopen func() bulkexport.OutputSink)
	caught []string
}

func TestCorrectSinkPasses(t *testing.T) {
	t.Parallel()
	for _, name := range sinktest.CaseNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, failure := range failuresOf(t, name, broken{open: correct}) {
				t.Error(failure)
			}
		})
	}
}

func correct() (s bulkexport.OutputSink, reopen func() bulkexport.OutputSink) {
	s = memsink.New()
	return s, func() bulkexport.OutputSink { return s }
}

func TestBrokenSinksAreCaught(t *testing.T) {
	t.Parallel()
	for fault, b := range brokenSinks() {
		for _, name := range b.caught {
			t.Run(fault+"/"+name, func(t *testing.T) {
				t.Parallel()
				if len(failuresOf(t, name, b)) == 0 {
					t.Error("the case does not see the fault")
				}
			})
		}
	}
}

// TestEveryCaseCanFail keeps cases out that nothing would ever break.
func TestEveryCaseCanFail(t *testing.T) {
	t.Parallel()
	unproved := sinktest.CaseNames()
	for _, b := range brokenSinks() {
		unproved = slices.DeleteFunc(unproved, func(name string) bool {
			return slices.Contains(b.caught, name)
		})
	}
	if len(unproved) > 0 {
		t.Errorf("no broken sink is caught by %q", unproved)
	}
}

// The suite is tested from within the package: its cases are not exported, and
// each of them has to be run where it must fail.
package sourcetest

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// recorder is a tester that takes failures down.
type recorder struct {
	ctx context.Context

	mu       sync.Mutex
	failures []string
}

func (r *recorder) Helper() {}

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

// failures runs a case on a data set and returns what it has to say.
func failures(t *testing.T, c testCase, data DataSet, patience time.Duration) []string {
	t.Helper()
	if reason := c.missing(data); reason != "" {
		t.Fatalf("%s is skipped: %s", c, reason)
	}
	r := &recorder{ctx: t.Context()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.run(r, newHost(t, data, "", patience))
	}()
	<-done
	return r.failures
}

// soundData is a data set on which every case can run. Its second source
// shares the memory of the first.
func soundData() (*faulty, *DataSet) {
	src := memsource.New(memsource.Config{})
	f := newFaulty(src)
	return f, &DataSet{
		Source: f,
		Put: func(
			_ context.Context, tenant string, resources ...[]byte,
		) (updated time.Time, err error) {
			for _, resource := range resources {
				if updated, err = src.Put(tenant, resource); err != nil {
					return time.Time{}, err
				}
			}
			return updated, nil
		},
		Delete: func(_ context.Context, tenant, resourceType, id string) error {
			src.Delete(tenant, resourceType, id)
			return nil
		},
		Block:  f.block,
		Reopen: func(*testing.T) bulkexport.ResourceSource { return newFaulty(src) },
	}
}

func caseNamed(t *testing.T, name string) testCase {
	t.Helper()
	all := allCases()
	i := slices.IndexFunc(all, func(c testCase) bool { return c.String() == name })
	if i < 0 {
		t.Fatalf("no case is named %q", name)
	}
	return all[i]
}

// wantPass runs a case that must not fail.
func wantPass(t *testing.T, c testCase, data DataSet) {
	t.Helper()
	for _, failure := range failures(t, c, data, patience) {
		t.Errorf("%s fails on a sound source: %s", c, failure)
	}
}

func TestSoundSourcePasses(t *testing.T) {
	t.Parallel()
	for _, c := range allCases() {
		_, data := soundData()
		wantPass(t, c, *data)
	}
}

// isCaughtBy tries a few times, since a race that goes well once proves nothing.
func (f fault) isCaughtBy(t *testing.T, c testCase) bool {
	t.Helper()
	for range 10 {
		source, data := soundData()
		f.spoil(source, data)
		if len(failures(t, c, *data, 300*time.Millisecond)) > 0 {
			return true
		}
	}
	return false
}

func TestFaultsAreCaught(t *testing.T) {
	t.Parallel()
	for _, fault := range allFaults() {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range fault.caughtBy {
				if !fault.isCaughtBy(t, caseNamed(t, name)) {
					t.Errorf("%s does not notice", name)
				}
			}
		})
	}
}

func TestEveryCaseCatchesAFault(t *testing.T) {
	t.Parallel()
	for _, c := range allCases() {
		if !slices.ContainsFunc(allFaults(), func(f fault) bool {
			return slices.Contains(f.caughtBy, c.String())
		}) {
			t.Errorf("no fault shows that %s can fail", c)
		}
	}
}

// TestLeastSource runs what is left for a source that only does what it must.
func TestLeastSource(t *testing.T) {
	t.Parallel()
	skipped := make(map[Category]int)
	for _, c := range allCases() {
		_, data := soundData()
		least := DataSet{Source: struct{ bulkexport.ResourceSource }{data.Source}, Put: data.Put}
		if c.missing(least) != "" {
			skipped[c.category]++
			continue
		}
		wantPass(t, c, least)
	}
	want := map[Category]int{
		Order: 1, Deletion: 3, Changes: 1, Snapshots: 14, Clock: 5, Incremental: 2, Counting: 2,
		Splitting: 7, Groups: 14, Patients: 8, Tombstones: 12, Lookup: 8, Provenance: 7, Blocks: 10,
		Tenants: 6, Persistence: 5, Cancellation: 1,
	}
	if !maps.Equal(skipped, want) {
		t.Errorf("skipped for want of an ability: got %v, want %v", skipped, want)
	}
}

// bounded is a sound source that holds current versions only.
type bounded struct{ *faulty }

func (bounded) Consistency() bulkexport.Consistency { return bulkexport.Bounded }

func TestBoundedSourcePasses(t *testing.T) {
	t.Parallel()
	for _, c := range allCases() {
		f, data := soundData()
		f.onEveryQuery(func(q query) query {
			q.AsOf = time.Time{}
			return q
		})
		f.deletions = f.Source.Deletions // what happened when is known all the same
		data.Source = bounded{f}
		data.Reopen = func(*testing.T) bulkexport.ResourceSource { return data.Source }
		switch skipped := c.missing(*data) != ""; {
		case skipped != (c.category == Snapshots):
			t.Errorf("%s: skipped is %t", c, skipped)
		case !skipped:
			wantPass(t, c, *data)
		}
	}
}

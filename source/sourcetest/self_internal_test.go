// The suite is tested from within the package: its cases are not exported, and
// each of them has to be run where it must fail.
package sourcetest

import (
	"context"
	"fmt"
	"iter"
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

// faulty is a sound source, but for the functions that are set.
type faulty struct {
	*memsource.Source
	types     func(context.Context, bulkexport.Scope) ([]string, error)
	resources func(context.Context, bulkexport.Query) iter.Seq2[bulkexport.Resource, error]
	time      func(context.Context, string) (time.Time, error)
	count     func(context.Context, bulkexport.Query) (int64, error)
	split     func(context.Context, bulkexport.Query, int64) ([][]byte, error)
}

func newFaulty(src *memsource.Source) *faulty {
	return &faulty{src, src.Types, src.Resources, src.TransactionTime, src.Count, src.Split}
}

func (f *faulty) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	return f.types(ctx, scope)
}

func (f *faulty) Resources(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Resource, error] {
	return f.resources(ctx, q)
}

func (f *faulty) TransactionTime(ctx context.Context, tenant string) (time.Time, error) {
	return f.time(ctx, tenant)
}

func (f *faulty) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	return f.count(ctx, q)
}

func (f *faulty) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	return f.split(ctx, q, size)
}

type (
	query     = bulkexport.Query
	resources = []bulkexport.Resource
	yieldFunc = func(bulkexport.Resource, error) bool
)

// onStream replaces the body of the streams.
func (f *faulty) onStream(body func(ctx context.Context, q query, yield yieldFunc)) {
	f.resources = func(ctx context.Context, q query) iter.Seq2[bulkexport.Resource, error] {
		return func(yield func(bulkexport.Resource, error) bool) { body(ctx, q, yield) }
	}
}

// onQuery answers another query than was asked.
func (f *faulty) onQuery(change func(query) query) {
	f.resources = func(ctx context.Context, q query) iter.Seq2[bulkexport.Resource, error] {
		return f.Source.Resources(ctx, change(q))
	}
}

// onItems changes what a query yields.
func (f *faulty) onItems(change func(query, resources) resources) {
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		for _, r := range change(q, f.all(q)) {
			if !yield(r, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	})
}

// all is what a sound source yields.
func (f *faulty) all(q query) resources {
	var all resources
	for r := range f.Source.Resources(context.Background(), q) {
		all = append(all, r)
	}
	return all
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
		Order: 1, Deletion: 3, Changes: 1, Snapshots: 8, Clock: 5, Incremental: 2, Counting: 2,
		Splitting: 7, Persistence: 4,
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
		f.onQuery(func(q query) query {
			q.AsOf = time.Time{}
			return q
		})
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

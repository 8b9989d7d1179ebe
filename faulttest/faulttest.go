// Package faulttest proves that exports survive whatever goes wrong: it fails,
// kills, freezes and stops them at each call of source, store, sink and runner,
// starts again, and checks what must hold all the same (see [Invariant]). The
// author of an adapter calls [Run] from a test:
//
//	func TestFaults(t *testing.T) {
//		faulttest.Run(t, faulttest.Harness{
//			Open: func(t *testing.T) faulttest.Parts {
//				return faulttest.Parts{Source: data(t), Store: mystore.New(db), Sink: memsink.New()}
//			},
//			Request: bulkexport.ExportRequest{Level: bulkexport.LevelSystem},
//			Config:  bulkexport.Config{MaxFileResources: 3},
//		})
//	}
//
// A representative export is small and has all that matters: several types, and
// more than one file of a type. One call is one schedule, so tens of resources
// make thousands of them. Everything happens in one goroutine after the other,
// on a clock that is moved on where an exporter would wait, so a failure can be
// repeated with [Replay], whose schedule it prints.
//
// What it does not see: crashes of the machine, which lose what was not synced;
// goroutines that get in each other's way, for which the suites storetest and
// sinktest look. [Injector] and [Process] are for tests of other kinds.
package faulttest

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/bulkexport/bulkexport"
)

// Parts are what an exporter is made of.
type Parts struct {
	Source bulkexport.ResourceSource
	Store  bulkexport.JobStore
	Sink   bulkexport.OutputSink
}

// Harness makes the parts under test. The zero value of a field is its default;
// required are Open and Request.
type Harness struct {
	// Open returns a source with data, which does not change but by Change, and
	// a store and a sink that are empty. It is called a few times in a test; what
	// is held is released by t.Cleanup.
	Open func(t *testing.T) Parts
	// Reopen returns parts on the same data as another process has them. Those
	// that Open returned stay in use: a process that hangs has them still. The
	// default is to share them.
	Reopen func(t *testing.T, opened Parts) Parts
	// Change changes the data such that the same request has other files from
	// then on. Only for a source with Snapshot consistency, whose exports must
	// not see it. It is called by any goroutine. Defaults to none.
	Change func(ctx context.Context, parts Parts) error

	// Request is the export, Access who asks for it. With AllowPartial it must have
	// no resource that cannot be exported: such an export may fail.
	Request bulkexport.ExportRequest
	Access  bulkexport.Access
	// Config has limits and hooks for the exporter. Source, Store, Sink, Runner,
	// Now and Logger are not used.
	Config bulkexport.Config
	// Expire lets exports expire. The default is that clients delete them.
	Expire bool
	// Marker is a text in the data that must not be in the log.
	Marker string

	// Every is the stride of the matrix: each n-th call is tried, other ones for
	// other kinds and seeds. Defaults to 1.
	Every int
	// Items is which resources of a stream count as a call: each n-th. Defaults to 1.
	Items int
	// Schedules is how many random schedules of several faults are tried. Defaults
	// to 100; none if negative.
	Schedules int
	// Seed chooses the random schedules. Defaults to 1.
	Seed uint64
	// Kinds are the kinds of faults. Defaults to all.
	Kinds []Kind
}

// Run tries each kind of fault at each call of the export, and random schedules
// of several. It logs how many, and stops at the first failure.
func Run(t *testing.T, h Harness) {
	t.Helper()
	x, err := explore(t, h)
	if err != nil {
		t.Fatalf("faulttest: %v", err)
	}
	for kind, schedule := range x.matrix {
		x.counts[kind]++
		if err := x.try(schedule); err != nil {
			t.Fatalf("faulttest: %v", err)
		}
	}
	random := rand.New(rand.NewPCG(x.harness.Seed, 0))
	for range x.harness.Schedules {
		x.random++
		if err := x.try(x.schedule(random)); err != nil {
			t.Fatalf("faulttest: %v", err)
		}
	}
	x.report()
}

// Replay runs one schedule, such as a failure prints, and logs what has struck
// and what the exporters have logged.
func Replay(t *testing.T, h Harness, schedule Schedule) {
	t.Helper()
	x, err := explore(t, h)
	if err != nil {
		t.Fatalf("faulttest: %v", err)
	}
	r, err := x.once(schedule)
	if r != nil {
		for _, s := range r.injector.Strikes() {
			t.Logf("faulttest: %s", s)
		}
		t.Logf("faulttest: log:\n%s", r.log)
	}
	if err != nil {
		t.Fatalf("faulttest: %v", err)
	}
}

func (x *explorer) report() {
	x.t.Helper()
	sum := 0
	for _, kind := range x.harness.Kinds {
		if n := x.counts[kind]; n > 0 {
			sum += n
			x.t.Logf("faulttest: %5d × %s", n, kind)
		}
	}
	x.t.Logf("faulttest: %d schedules of one fault at %d calls, %d of several", sum, len(x.calls), x.random)
}

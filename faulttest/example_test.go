package faulttest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// A test of another kind takes an injector by itself: here a process dies when
// it has made a job, and another one finds it.
func ExampleInjector() {
	jobs, files := memstore.New(), memsink.New()
	injector := faulttest.NewInjector(
		faulttest.Schedule{{Kind: faulttest.KillAfter, Call: 1}},
		faulttest.Hooks{Strike: func(_ *faulttest.Process, s faulttest.Strike) { fmt.Println(s) }},
	)
	process := func() *bulkexport.Exporter {
		p := injector.Process()
		exporter, err := bulkexport.New(bulkexport.Config{
			Source: p.Source(list{"Patient": 1}, 1, time.Now),
			Store:  p.Store(jobs),
			Sink:   p.Sink(files),
			Runner: p.Runner(bulkexport.NewPool(1)),
		})
		if err != nil {
			fmt.Println(err)
		}
		return exporter
	}
	ctx := context.Background()
	_, err := process().KickOff(ctx, bulkexport.Access{}, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
	fmt.Println(err)
	fmt.Println(process().Sweep(ctx))
	for _, call := range injector.Calls() {
		fmt.Println(call)
	}
	// Output:
	// kill after call 1 (store.CreateJob)
	// create export job: faulttest: the process is dead
	// <nil>
	// call 1 (store.CreateJob)
	// call 2 (store.Jobs by process 2)
	// call 3 (runner.Enqueue of plan by process 2)
	// call 4 (store.Jobs by process 2)
}

// TestReplay repeats a schedule that a failure would have printed.
func TestReplay(t *testing.T) {
	t.Parallel()
	faulttest.Replay(t, representative(), faulttest.Schedule{
		{Kind: "freeze before", Call: 50, Hold: faulttest.UntilDeleted}, {Kind: "kill after", Call: 60},
	})
}

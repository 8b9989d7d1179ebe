package runnertest

import (
	"context"

	"github.com/bulkexport/bulkexport"
)

func contextsCases() []testCase {
	return []testCase{{Contexts, "values and ends", valuesAndEnds}}
}

type contextKey struct{}

func valuesAndEnds(t *env) {
	release, got := make(chan struct{}), make(chan context.Context, 8)
	r, c := t.open(Settings{Workers: 2}), t.crew(func(ctx context.Context, _ bulkexport.Task) error {
		select {
		case <-release:
		case <-t.over:
		}
		got <- ctx
		if err := ctx.Err(); err != nil {
			t.Errorf("Start, Enqueue: the end of their contexts ends no task; got %v", err)
		}
		return nil
	})
	start, endStart := context.WithCancel(context.WithValue(t.Context(), contextKey{}, "value"))
	defer endStart()
	enqueue, endEnqueue := context.WithCancel(t.Context())
	defer endEnqueue()

	tasks := parts(tenant1, job1, 2)
	t.startIn(start, r, c)
	if err := r.Enqueue(enqueue, tasks[0]); err != nil {
		t.Fatalf("Enqueue: a runner that runs takes tasks; got error: %v", err)
	}
	c.untilRunning("Enqueue: a task is performed", tasks[0])
	endStart()
	endEnqueue()
	t.later()
	close(release)
	ctx := receive(t, got, "Enqueue: a task is performed")
	if v := ctx.Value(contextKey{}); v != "value" {
		t.Errorf("Start: the values of its context are handed to fn; got %v", v)
	}
	t.enqueue(r, tasks[1])
	c.untilBegun("Start: the end of its context does not stop the runner", tasks...)
}

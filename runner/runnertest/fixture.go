package runnertest

import (
	"context"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Jobs and tenants of cases that need some.
const (
	job1, job2, job3 = "6qz4k2w7xj5n3c1v8b9m0asdfg", "6qz4k2w7xj5n3c1v8b9m0asdfh", "6qz4k2w7xj5n3c1v8b9m0asdfi"
	tenant1, tenant2 = "north", "south"
)

// env is what a case works with.
type env struct {
	tester
	t       *testing.T
	harness Harness
	over    chan struct{} // closed when the case ends
	started []bulkexport.Runner

	second     bulkexport.Runner // see later
	secondCrew *crew
}

// close ends what the case has left running.
func (t *env) close() {
	close(t.over)
	for _, r := range t.started {
		t.stop(r)
	}
}

func (t *env) open(s Settings) bulkexport.Runner { return t.harness.Open(t.t, s) }

// join opens another node, or skips the case.
func (t *env) join(opened bulkexport.Runner, s Settings) bulkexport.Runner {
	if t.harness.Join == nil {
		t.Skip("the harness has no Join")
	}
	return t.harness.Join(t.t, opened, s)
}

// canAbandon skips the case if no node can die.
func (t *env) canAbandon() {
	if t.harness.Abandon == nil {
		t.Skip("the harness has no Abandon")
	}
}

func (t *env) abandon(r bulkexport.Runner) {
	for i, started := range t.started {
		if started == r {
			t.started = append(t.started[:i:i], t.started[i+1:]...)
			break
		}
	}
	t.harness.Abandon(t.t, r)
}

func (t *env) start(r bulkexport.Runner, c *crew) {
	t.Helper()
	t.startIn(t.Context(), r, c)
}

func (t *env) startIn(ctx context.Context, r bulkexport.Runner, c *crew) {
	t.Helper()
	if err := r.Start(ctx, c.perform); err != nil {
		t.Fatalf("Start: a runner starts; got error: %v", err)
	}
	t.started = append(t.started, r)
}

// run opens and starts a runner whose tasks do what do does.
func (t *env) run(s Settings, do action) (bulkexport.Runner, *crew) {
	t.Helper()
	r, c := t.open(s), t.crew(do)
	t.start(r, c)
	return r, c
}

// runTwo opens and starts two nodes, or skips the case.
func (t *env) runTwo(s Settings, do action) (r1, r2 bulkexport.Runner, c *crew) {
	t.Helper()
	r1, c = t.open(s), t.crew(do)
	r2 = t.join(r1, s)
	t.start(r1, c)
	t.start(r2, c)
	return r1, r2, c
}

func (t *env) enqueue(r bulkexport.Runner, tasks ...bulkexport.Task) {
	t.Helper()
	if err := r.Enqueue(t.Context(), tasks...); err != nil {
		t.Fatalf("Enqueue: a runner that runs takes tasks; got error: %v", err)
	}
}

func (t *env) stop(r bulkexport.Runner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Errorf("Stop: it returns when all tasks have returned; got error: %v", err)
	}
}

// later returns when another runner has performed tasks that it was given just
// now, one after the other. Whatever the runner under test was about to do
// wrongly, it had time for it.
func (t *env) later() {
	t.Helper()
	if t.second == nil {
		t.second, t.secondCrew = t.run(Settings{Workers: 1}, nil)
	}
	for range 2 {
		task := bulkexport.Task{Kind: bulkexport.TaskPart, JobID: job1, Part: t.secondCrew.total()}
		t.enqueue(t.second, task)
		t.secondCrew.untilBegun("Enqueue: a task is performed", task)
	}
}

// receive waits for something that has to come.
func receive[T any](t *env, from <-chan T, rule string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s; it did not", rule)
	}
	panic("unreachable: Fatalf does not return")
}

// parts returns n part tasks of a job.
func parts(tenant, job string, n int) []bulkexport.Task {
	tasks := make([]bulkexport.Task, n)
	for i := range tasks {
		tasks[i] = bulkexport.Task{Kind: bulkexport.TaskPart, JobID: job, Tenant: tenant, Part: i}
	}
	return tasks
}

func kinds() []bulkexport.TaskKind {
	return []bulkexport.TaskKind{
		bulkexport.TaskPlan, bulkexport.TaskPart, bulkexport.TaskFinish, bulkexport.TaskDelete,
	}
}

// oneOfEach returns a task of each kind.
func oneOfEach(tenant, job string) []bulkexport.Task {
	var tasks []bulkexport.Task
	for _, kind := range kinds() {
		tasks = append(tasks, bulkexport.Task{Kind: kind, JobID: job, Tenant: tenant})
	}
	return tasks
}

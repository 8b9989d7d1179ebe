package runnertest

import (
	"context"
	"slices"

	"github.com/bulkexport/bulkexport"
)

func ceilingsCases() []testCase {
	return []testCase{
		{Ceilings, "job", jobCeiling},
		{Ceilings, "tenant", tenantCeiling},
		{Ceilings, "total", totalCeiling},
		{Ceilings, "all together on two nodes", ceilingsOfTwo},
		{Ceilings, "only parts", ceilingsAreForParts},
		{Ceilings, "others pass", othersPass},
	}
}

// three returns many parts of three jobs, two of which belong to one tenant.
func three() []bulkexport.Task {
	return slices.Concat(parts(tenant1, job1, 8), parts(tenant1, job2, 8), parts(tenant2, job3, 8))
}

// holds has it looked at, from now on, that no ceiling is exceeded.
func (c *crew) holds(l bulkexport.Ceilings) {
	bound := func(limit int, what string, fits func(bulkexport.Task) bool) {
		c.never("Ceilings: no more parts at once than "+what, func() bool {
			return limit > 0 && c.running(fits) > limit
		})
	}
	bound(l.Total, "there may be in all", anyPart)
	for _, tenant := range []string{tenant1, tenant2} {
		bound(l.Tenant, "a tenant may have", partOfTenant(tenant))
	}
	for _, job := range []string{job1, job2, job3} {
		bound(l.Job, "a job may have", partOfJob(job))
	}
}

// reached waits until so many parts of the three jobs are performed at once.
func (c *crew) reached(first, second, third int) {
	c.t.Helper()
	c.until("Ceilings: as many parts at once as there may be", func() bool {
		one, two := c.running(partOfJob(job1)), c.running(partOfJob(job2))
		return one+two == first+second && c.running(partOfJob(job3)) == third
	})
}

// fill has all tasks performed, the first ones of which last until as many are
// performed as may be.
func (t *env) fill(r bulkexport.Runner, c *crew, release chan struct{}, full func()) {
	t.Helper()
	tasks := three()
	t.enqueue(r, tasks...)
	full()
	t.later()
	close(release)
	c.untilBegun("Ceilings: what has to wait is performed when it may be", tasks...)
}

func (t *env) fillTo(l bulkexport.Ceilings, full func(c *crew)) {
	t.Helper()
	release := make(chan struct{})
	r, c := t.open(Settings{Workers: 8, Ceilings: l}), t.crew(t.hold(release))
	c.holds(l)
	t.start(r, c)
	t.fill(r, c, release, func() { full(c) })
}

func jobCeiling(t *env) {
	t.fillTo(bulkexport.Ceilings{Job: 2}, func(c *crew) { c.reached(2, 2, 2) })
}

func tenantCeiling(t *env) {
	t.fillTo(bulkexport.Ceilings{Tenant: 3}, func(c *crew) { c.reached(2, 1, 3) })
}

func totalCeiling(t *env) {
	t.fillTo(bulkexport.Ceilings{Total: 5}, func(c *crew) {
		c.until("Ceilings: as many parts at once as there may be", func() bool { return c.running(anyPart) == 5 })
	})
}

func ceilingsOfTwo(t *env) {
	l := bulkexport.Ceilings{Job: 2, Tenant: 3, Total: 4}
	s := Settings{Workers: 4, Ceilings: l}
	release := make(chan struct{})
	c := t.crew(t.hold(release))
	c.holds(l)
	r1 := t.open(s)
	r2 := t.join(r1, s)
	t.start(r1, c)
	t.start(r2, c)
	t.fill(r1, c, release, func() {
		c.until("Ceilings: as many parts at once as there may be", func() bool { return c.running(anyPart) == 4 })
	})
}

func ceilingsAreForParts(t *env) {
	l := bulkexport.Ceilings{Job: 1, Tenant: 1, Total: 1}
	release := make(chan struct{})
	hold := t.hold(release)
	r, c := t.open(Settings{Workers: 3, Ceilings: l}), t.crew(func(ctx context.Context, task bulkexport.Task) error {
		if !anyPart(task) {
			return nil
		}
		return hold(ctx, task)
	})
	c.holds(l)
	t.start(r, c)
	tasks := parts(tenant1, job1, 2)
	t.enqueue(r, tasks...)
	c.until("Enqueue: a part is performed", func() bool { return c.running(anyPart) == 1 })
	others := slices.DeleteFunc(oneOfEach(tenant1, job1), anyPart)
	t.enqueue(r, others...)
	c.untilBegun("Ceilings: other tasks than parts are not held back", others...)
	close(release)
	c.untilBegun("Ceilings: what has to wait is performed when it may be", tasks...)
}

// othersPass has a job and a tenant at their ceilings, each with a long queue.
func othersPass(t *env) {
	l := bulkexport.Ceilings{Job: 1, Tenant: 2}
	release := make(chan struct{})
	r, c := t.open(Settings{Workers: 4, Ceilings: l}), t.crew(t.holdJob(job1, release))
	c.holds(l)
	t.start(r, c)
	full := parts(tenant1, job1, 20)
	t.enqueue(r, full...)
	c.until("Enqueue: a part is performed", func() bool { return c.running(anyPart) == 1 })
	others := slices.Concat(parts(tenant1, job2, 5), parts(tenant2, job3, 5))
	t.enqueue(r, others...)
	c.untilBegun("Ceilings: what waits for its own does not keep others waiting", others...)
	close(release)
	c.untilBegun("Ceilings: what has to wait is performed when it may be", full...)
}

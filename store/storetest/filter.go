package storetest

import (
	"slices"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

func filterCases() []testCase {
	return []testCase{
		{Filters, "all jobs, whole, in order of id", alone(listAll)},
		{Filters, "by state", alone(listByState)},
		{Filters, "by tenant", alone(listByTenant)},
		{Filters, "by expiry", alone(listExpired)},
		{Filters, "page by page", alone(listPages)},
		{Filters, "all fields together", alone(listCombined)},
		{Filters, "jobs as last updated", alone(listUpdated)},
	}
}

// wantJobs checks which jobs of the series a filter selects.
func wantJobs(t tester, s bulkexport.JobStore, rule string, f bulkexport.JobFilter, want ...int) {
	t.Helper()
	jobs, err := s.Jobs(t.Context(), f)
	if err != nil {
		t.Fatalf("Jobs: %s; got error: %v", rule, err)
	}
	if got := idsOf(jobs); !slices.Equal(got, series(want)) {
		t.Errorf("Jobs: %s:\n got %s\nwant %s", rule,
			strings.Join(got, " "), strings.Join(series(want), " "))
	}
}

func idsOf(jobs []bulkexport.Job) []string {
	ids := make([]string, len(jobs))
	for i, job := range jobs {
		ids[i] = job.ID
	}
	return ids
}

func series(numbers []int) []string {
	ids := make([]string, len(numbers))
	for i, n := range numbers {
		ids[i] = jobID(n)
	}
	return ids
}

func createWith(t tester, s bulkexport.JobStore, n int, set func(*bulkexport.Job)) {
	t.Helper()
	job := newJob(n)
	set(&job)
	mustCreate(t, s, job)
}

// listAll creates jobs out of order, on both sides of a carry in their ids.
func listAll(t tester, s bulkexport.JobStore) {
	order := []int{30, 2, 700, 0, 26, 25, 1}
	for _, n := range order {
		mustCreate(t, s, fullJob(t, n, n))
	}
	slices.Sort(order)
	wantJobs(t, s, "a zero filter selects all jobs, in ascending order of id",
		bulkexport.JobFilter{}, order...)
	jobs, _ := s.Jobs(t.Context(), bulkexport.JobFilter{})
	for i, job := range jobs {
		wantSame(t, "Jobs: jobs are returned whole", job, fullJob(t, order[i], order[i]))
	}
}

func listByState(t tester, s bulkexport.JobStore) {
	for n, state := range []bulkexport.JobState{
		bulkexport.JobAccepted, bulkexport.JobRunning, bulkexport.JobCompleted, bulkexport.JobRunning,
	} {
		createWith(t, s, n, func(j *bulkexport.Job) { j.State = state })
	}
	states := func(s ...bulkexport.JobState) bulkexport.JobFilter {
		return bulkexport.JobFilter{States: s}
	}
	wantJobs(t, s, "one state", states(bulkexport.JobRunning), 1, 3)
	wantJobs(t, s, "any of several states",
		states(bulkexport.JobCompleted, bulkexport.JobAccepted), 0, 2)
	wantJobs(t, s, "a state that no job has", states(bulkexport.JobDeleted))
	wantJobs(t, s, "no states are all states", states(), 0, 1, 2, 3)
}

func listByTenant(t tester, s bulkexport.JobStore) {
	for n, tenant := range []string{"", "one", "two", "", "one"} {
		createWith(t, s, n, func(j *bulkexport.Job) { j.Tenant = tenant })
	}
	tenant := func(name string) bulkexport.JobFilter { return bulkexport.JobFilter{Tenant: &name} }
	wantJobs(t, s, "one tenant", tenant("one"), 1, 4)
	wantJobs(t, s, `the tenant "" is a tenant, not all of them`, tenant(""), 0, 3)
	wantJobs(t, s, "a tenant without jobs", tenant("three"))
	wantJobs(t, s, "a nil tenant is all tenants", bulkexport.JobFilter{}, 0, 1, 2, 3, 4)
}

// listExpired has jobs a microsecond before, at and after the bound: what is
// listed too early would be deleted too early.
func listExpired(t tester, s bulkexport.JobStore) {
	at := moment()
	east := time.FixedZone("east", 3*60*60)
	for n, expires := range []time.Time{
		{}, at.Add(-time.Hour), at.Add(-time.Microsecond), at.In(east), at.Add(time.Microsecond),
	} {
		createWith(t, s, n, func(j *bulkexport.Job) { j.ExpiresAt = expires })
	}
	by := func(t time.Time) bulkexport.JobFilter { return bulkexport.JobFilter{ExpiredBy: t} }
	wantJobs(t, s, "ExpiredBy selects what expires then or earlier, never what has no expiry",
		by(at), 1, 2, 3)
	wantJobs(t, s, "ExpiredBy in another zone is the same moment", by(at.In(east)), 1, 2, 3)
	wantJobs(t, s, "ExpiredBy counts microseconds", by(at.Add(-time.Microsecond)), 1, 2)
	wantJobs(t, s, "ExpiredBy later than all", by(at.AddDate(1000, 0, 0)), 1, 2, 3, 4)
	wantJobs(t, s, "ExpiredBy earlier than all", by(at.AddDate(-1000, 0, 0)))
	wantJobs(t, s, "a zero ExpiredBy does not select", by(time.Time{}), 0, 1, 2, 3, 4)
}

func listPages(t tester, s bulkexport.JobStore) {
	for _, n := range []int{4, 2, 0, 6, 8} {
		createJob(t, s, n, 0)
	}
	after := func(n, limit int) bulkexport.JobFilter {
		return bulkexport.JobFilter{After: jobID(n), Limit: limit}
	}
	wantJobs(t, s, "Limit bounds the first page", bulkexport.JobFilter{Limit: 2}, 0, 2)
	wantJobs(t, s, "After excludes the job it names", after(2, 2), 4, 6)
	wantJobs(t, s, "the last page is short", after(6, 2), 8)
	wantJobs(t, s, "after the last job comes nothing", after(8, 2))
	wantJobs(t, s, "After need not name a job that exists", after(3, 0), 4, 6, 8)
	wantJobs(t, s, "a Limit beyond the number of jobs", after(0, 100), 2, 4, 6, 8)
}

func listCombined(t tester, s bulkexport.JobStore) {
	for n := range 40 {
		createWith(t, s, n, func(j *bulkexport.Job) {
			if n%2 == 0 {
				j.State = bulkexport.JobCompleted
				j.ExpiresAt = moment().Add(time.Duration(n) * time.Hour)
			}
			if n%3 == 0 {
				j.Tenant = "three"
			}
		})
	}
	tenant := "three"
	wantJobs(t, s, "a job is selected if all fields of the filter select it", bulkexport.JobFilter{
		States:    []bulkexport.JobState{bulkexport.JobCompleted, bulkexport.JobFailed},
		Tenant:    &tenant,
		ExpiredBy: moment().Add(30 * time.Hour),
		After:     jobID(6),
		Limit:     3,
	}, 12, 18, 24)
}

// listUpdated is for stores that keep in columns of their own what they select
// by, and could forget to write them.
func listUpdated(t tester, s bulkexport.JobStore) {
	for n := range 3 {
		createJob(t, s, n, 0)
	}
	mustUpdate(t, s, jobID(1), func(j *bulkexport.Job) {
		j.State, j.ExpiresAt = bulkexport.JobFailed, moment()
	})
	failed := bulkexport.JobFilter{States: []bulkexport.JobState{bulkexport.JobFailed}}
	running := bulkexport.JobFilter{States: []bulkexport.JobState{bulkexport.JobRunning}}
	expired := bulkexport.JobFilter{ExpiredBy: moment()}
	wantJobs(t, s, "a job is selected by its new state", failed, 1)
	wantJobs(t, s, "a job is not selected by its old state", running, 0, 2)
	wantJobs(t, s, "a job is selected by its new expiry", expired, 1)
	mustUpdate(t, s, jobID(1), func(j *bulkexport.Job) { j.ExpiresAt = time.Time{} })
	wantJobs(t, s, "a job without expiry is not selected by its old one", expired)
	mustDelete(t, s, jobID(1))
	wantJobs(t, s, "a deleted job is not listed", bulkexport.JobFilter{}, 0, 2)
}

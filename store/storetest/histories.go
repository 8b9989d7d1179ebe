package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
)

func historyCases() []testCase {
	return []testCase{
		{Atomicity, "random calls at once are answered as if one came after the other", randomHistories},
	}
}

const (
	// clients make callsEach calls each, at once, on so many jobs.
	clients     = 4
	callsEach   = 8
	historyJobs = 2
)

// history is what the clients do, after the calls that come before.
type history struct {
	before []randomCall
	then   [clients][]randomCall
}

// event is a call that was made, with its place among the others: it began and
// ended when so many others had begun or ended.
type event struct {
	client     int
	call       randomCall
	got        answer
	began, end int64
}

// randomHistories makes random calls from several goroutines, on the two stores
// in turn, and looks for an order in which the model gives the same answers: one
// in which each call has its place between its beginning and its end. Jobs are
// looked at one by one, since the contract says nothing across them.
func randomHistories(t tester, on stores) {
	var ids idSeries
	calls := 0
	generated := histories()
	rapid.Check(t, func(rt *rapid.T) {
		ids++
		defer deleteAll(t, on.s, ids)
		events := generated.Draw(rt, "calls").run(t, on, ids)
		for job := range historyJobs {
			// What goroutines did is not repeated by making the same calls again,
			// so rapid is not told, and does not try.
			if text := disorder(ofJob(events, job), ids); text != "" {
				t.Fatalf("no order of these calls explains their answers:\n%s", text)
			}
		}
		calls += len(events)
	})
	t.Logf("%d histories with %d calls", ids, calls)
}

// histories are every second time of a few methods only, and about one job: what
// goes wrong does so when calls meet.
func histories() *rapid.Generator[history] {
	create, plan := draw([]method{callCreate}), draw([]method{callPlan})
	few := rapid.SliceOfNDistinct(rapid.SampledFrom(oftener()), 2, 4, rapid.ID[method])
	return rapid.Custom(func(t *rapid.T) history {
		var h history
		number := 0
		next := func(d drawing, job int) randomCall {
			number++
			return d.callOf(t, job, number)
		}
		for job := range historyJobs {
			h.before = append(h.before, next(create, job), next(plan, job))
		}
		methods := oftener()
		if rapid.Bool().Draw(t, "few") {
			methods = few.Draw(t, "methods")
		}
		mixed := draw(methods)
		jobs := rapid.IntRange(1, historyJobs).Draw(t, "jobs")
		for client := range h.then {
			for range callsEach {
				job := rapid.IntRange(0, jobs-1).Draw(t, "job")
				h.then[client] = append(h.then[client], next(mixed, job))
			}
		}
		return h
	})
}

// callOf draws a call that concerns one job only. What it stores has its number,
// so that the effects of no two calls are the same.
func (d drawing) callOf(t *rapid.T, job, number int) randomCall {
	c := d.call(t)
	c.job, c.part, c.after = job, min(c.part, 1), -1
	// The tenant is what Jobs tells the job from the others by.
	tenant := fewTenants()[job]
	c.tenant, c.filter.Tenant = tenant, &tenant
	switch c.method {
	case callCreate, callUpdate:
		state := rapid.SampledFrom(states()).Draw(t, "state")
		c.edits = []edit{newEdit(d.jobFields, "State", state), newEdit(d.jobFields, "Claim.Attempt", number)}
	case callUpdatePart:
		c.edits = []edit{newEdit(d.partFields, "Claim.Attempt", number)}
	case callPlan:
		for i := range c.plan {
			c.plan[i] = []edit{newEdit(d.partFields, "Claim.Attempt", number)}
		}
	case callJob, callList, callDelete, callParts, callReopen:
	}
	return c
}

func newEdit(of []field, name string, value any) edit {
	i := slices.IndexFunc(of, func(f field) bool { return f.name == name })
	return edit{of[i], reflect.ValueOf(value)}
}

// run makes the calls and returns them in the order in which they began.
func (h history) run(t tester, on stores, ids idSeries) []event {
	var clock atomic.Int64
	do := func(client int, c randomCall) event {
		c.rival = client%2 == 1 && on.reopen != nil
		e := event{client: client, call: c, began: clock.Add(1)}
		e.got = c.on(t.Context(), either(client, on.s, on.rival), ids)
		e.end = clock.Add(1)
		return e
	}
	var events []event
	for _, c := range h.before {
		events = append(events, do(0, c))
	}
	var byClient [clients][]event
	together(clients, func(client int) {
		for _, c := range h.then[client] {
			byClient[client] = append(byClient[client], do(client, c))
		}
	})
	events = slices.Concat(append(byClient[:], events)...)
	slices.SortFunc(events, func(a, b event) int { return int(a.began - b.began) })
	for _, e := range events {
		if !isAnswer(e.got.err) {
			t.Fatalf("%s: a call waits for its turn; got error: %v", e.call, e.got.err)
		}
	}
	return events
}

func ofJob(events []event, job int) []event {
	return slices.DeleteFunc(slices.Clone(events), func(e event) bool { return e.call.job != job })
}

// disorder shows the calls if their answers fit no order.
func disorder(events []event, ids idSeries) string {
	operations := make([]porcupine.Operation, len(events))
	for i, e := range events {
		operations[i] = porcupine.Operation{
			ClientId: e.client, Input: e.call, Call: e.began, Output: e.got, Return: e.end,
		}
	}
	// There is no time-out: so few calls take milliseconds.
	verdict, info := porcupine.CheckOperationsVerbose(linearizable(ids), operations, 0)
	if verdict == porcupine.Ok {
		return ""
	}
	var fits []int
	for _, partial := range info.PartialLinearizations()[0] {
		if len(partial) > len(fits) {
			fits = partial
		}
	}
	var text strings.Builder
	for i, e := range events {
		mark := "  "
		if !slices.Contains(fits, i) {
			mark = "? "
		}
		fmt.Fprintf(&text, "%s%s\n", mark, e)
	}
	text.WriteString("Calls marked with ? are left over when as many of the others as possible are in order.\n" +
		"A call overlaps those that begin before it ends; numbers count beginnings and ends.")
	return ids.named(text.String())
}

func linearizable(ids idSeries) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return record{} },
		Step: func(state, input, output any) (bool, any) {
			want, next := state.(record).answer(input.(randomCall), ids)
			return difference(output.(answer).settled(), want) == "", next
		},
		Equal: func(a, b any) bool { return a.(record).equal(b.(record)) },
	}
}

// settled leaves out what a function saw in vain: it may have been called before
// the attempt met a conflict, and found nothing when it was tried again.
func (a answer) settled() answer {
	if a.err != nil && !errors.Is(a.err, errRefused) {
		a.sawJobs, a.sawParts = nil, nil
	}
	return a
}

func (e event) String() string {
	return fmt.Sprintf("%3d to %3d, client %d: %s = %s", e.began, e.end, e.client, e.call, e.got.brief())
}

func (a answer) brief() string {
	var text []string
	for _, job := range a.sawJobs {
		text = append(text, "saw job "+describeSet(job))
	}
	for _, part := range a.sawParts {
		text = append(text, "saw part "+describeSet(part))
	}
	for _, job := range a.jobs {
		text = append(text, describeSet(job))
	}
	for _, part := range a.parts {
		text = append(text, describeSet(part))
	}
	if a.err != nil {
		text = append(text, describeError(a.err))
	}
	if len(text) == 0 {
		return "nothing"
	}
	return strings.Join(text, ", ")
}

func (r record) equal(other record) bool {
	return r.exists == other.exists && difference(
		answer{jobs: []bulkexport.Job{r.job}, parts: r.parts},
		answer{jobs: []bulkexport.Job{other.job}, parts: other.parts},
	) == ""
}

package storetest

import (
	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
)

func sequenceCases() []testCase {
	return []testCase{
		{Sequences, "random calls are answered as the contract says", randomSequences},
	}
}

// randomSequences makes random calls one after the other, on the two stores in
// turn where there are two, and compares each answer with that of the model. A
// sequence that fails is made as short as it can be.
func randomSequences(t tester, on stores) {
	var ids idSeries
	calls := 0
	generated := sequences(on.reopen != nil)
	rapid.Check(t, func(rt *rapid.T) {
		ids++
		m := &machine{stores: on, t: t, ids: ids}
		defer m.end()
		drawn := generated.Draw(rt, "calls")
		for i, c := range drawn {
			if diff := m.step(c); diff != "" {
				rt.Fatalf("call %d, %s: %s", i+1, c, diff)
			}
		}
		for _, c := range m.audit() {
			if diff := m.step(c); diff != "" {
				rt.Fatalf("afterwards, %s: %s", c, diff)
			}
		}
		calls += len(drawn)
	})
	t.Logf("%d sequences with %d calls", ids, calls)
}

// machine is the store under test beside its model.
type machine struct {
	stores
	t       tester
	ids     idSeries
	model   model
	release func()
}

// step makes a call on both, and says where the answers differ.
func (m *machine) step(c randomCall) string {
	s := m.s
	switch {
	case c.method == callReopen:
		m.releaseReopened()
		m.rival, m.release = m.reopen()
	case c.rival:
		s = m.rival
	}
	got := c.on(m.t.Context(), s, m.ids)
	return m.ids.named(difference(got, m.model.answer(c, m.ids)))
}

// audit returns the calls that show all there is, on each store.
func (m *machine) audit() []randomCall {
	var calls []randomCall
	views := []bool{false}
	if m.reopen != nil {
		views = append(views, true)
	}
	for _, rival := range views {
		calls = append(calls, randomCall{method: callList, rival: rival, after: -1})
		for job := range m.model {
			calls = append(calls,
				randomCall{method: callJob, rival: rival, job: job},
				randomCall{method: callParts, rival: rival, job: job})
		}
	}
	return calls
}

// end leaves nothing to be listed later.
func (m *machine) end() {
	deleteAll(m.t, m.s, m.ids)
	m.releaseReopened()
}

func (m *machine) releaseReopened() {
	if m.release != nil {
		m.release()
	}
	m.release = nil
}

// deleteAll deletes the jobs of a series. What a broken store keeps is out of sight
// of the next series.
func deleteAll(t tester, s bulkexport.JobStore, ids idSeries) {
	for job := range jobsPerSeries {
		_ = s.DeleteJob(t.Context(), ids.id(job))
	}
}

//go:build unix

package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	ada  = ref{"north", "Patient", "p1"}
	obs  = ref{"north", "Observation", "o1"}
	gone = ref{"north", "Encounter", "e1"}
)

// small is a world with some history: obs was changed at 20, gone was deleted
// between 30 and 40.
func small() *world {
	w := newWorld(shape{patients: 3})
	w.note(ada, version{number: 1, after: 9, by: 10})
	w.note(obs, version{number: 1, after: 9, by: 10})
	w.note(gone, version{number: 1, after: 9, by: 10})
	w.note(obs, version{number: 2, after: 19, by: 20})
	w.note(gone, version{number: 1, deleted: true, after: 30, by: 40})
	w.note(ref{"south", "Patient", "p1"}, version{number: 1, after: 9, by: 10})
	return w
}

func TestWorldKnowsTheStateAtAnyTime(t *testing.T) {
	t.Parallel()
	at := func(moment, since int64) expectation {
		return small().expect(selection{tenant: "north", at: moment, since: since})
	}
	one := func(n int) want { return want{numbers: []int{n}} }
	perhaps := func(n int) want { return want{numbers: []int{n}, optional: true} }
	require.Empty(t, at(9, 0).output)
	require.Equal(t, map[ref]want{ada: one(1), obs: one(1), gone: one(1)}, at(10, 0).output)
	require.Equal(t, map[ref]want{ada: one(1), obs: one(2), gone: one(1)}, at(30, 0).output)
	require.Equal(t, map[ref]want{ada: one(1), obs: one(2), gone: perhaps(1)}, at(35, 0).output)
	require.Equal(t, map[ref]want{ada: one(1), obs: one(2)}, at(40, 0).output)
	require.Empty(t, at(40, 0).deleted, "deletions are of incremental exports")

	require.Equal(t, expectation{map[ref]want{obs: one(2)}, map[ref]want{gone: one(1)}}, at(40, 10))
	require.Equal(t, expectation{map[ref]want{obs: one(2)}, map[ref]want{gone: perhaps(1)}}, at(35, 19))
	require.Equal(t, expectation{map[ref]want{}, map[ref]want{gone: perhaps(1)}}, at(40, 35))
	require.Equal(t, expectation{map[ref]want{}, map[ref]want{}}, at(50, 40))
}

func TestWorldForgetsOnlyWhatIsOver(t *testing.T) {
	t.Parallel()
	for _, sel := range []selection{
		{tenant: "north", at: 25}, {tenant: "north", at: 35}, {tenant: "north", at: 50, since: 25},
	} {
		w := small()
		w.forget(25)
		require.Len(t, w.histories[obs], 1)
		require.Equal(t, small().expect(sel), w.expect(sel))
	}
}

func TestWorldKnowsCompartments(t *testing.T) {
	t.Parallel()
	w := newWorld(shape{patients: 3})
	organization := ref{"north", "Organization", "x"}
	group := ref{"north", "Group", groupID}
	for _, r := range []ref{ada, organization, group} {
		w.note(r, version{number: 1, by: 1})
	}
	var tied []ref
	for i := range 30 {
		r := ref{"north", "Observation", fmt.Sprint("o", i)}
		w.note(r, version{number: 1, by: 1})
		if patients := w.patientsOf(r, 1); len(patients) > 0 && patients[0] == ada.id {
			tied = append(tied, r)
		}
	}
	keys := func(sel selection) []ref {
		sel.tenant, sel.at = "north", 1
		var found []ref
		for r := range w.expect(sel).output {
			found = append(found, r)
		}
		return found
	}
	require.Contains(t, keys(selection{}), organization)
	require.NotContains(t, keys(selection{inCompartment: true}), organization)
	require.Contains(t, keys(selection{inCompartment: true}), group)
	onlyAda := map[string]bool{ada.id: true}
	require.ElementsMatch(t, append(tied, ada), keys(selection{
		inCompartment: true, patients: onlyAda, kinds: []string{"Patient", "Observation"},
	}))
	require.Subset(t, keys(selection{group: groupID}), []ref{group})
}

func TestTallyFindsEachKindOfWrongLine(t *testing.T) {
	t.Parallel()
	right := []exported{{ada, 1}, {obs, 2}}
	for fault, lines := range map[string][]exported{
		"":              right,
		"missing":       right[:1],
		"doubled":       append(right[:2:2], right[0]),
		"wrong version": {{ada, 1}, {obs, 1}},
		"extra":         append(right[:2:2], exported{gone, 1}),
		"foreign":       append(right[:2:2], exported{ref{"south", "Patient", "p1"}, 1}),
	} {
		counted := newTally(small().expect(selection{tenant: "north", at: 40}).output)
		for _, line := range lines {
			counted.take("north", line)
		}
		faults := counted.end()
		if fault == "" {
			require.Empty(t, faults)
			continue
		}
		require.Len(t, faults, 1)
		require.Contains(t, faults[0], fault)
	}
}

func TestLineIsComparedByteForByte(t *testing.T) {
	t.Parallel()
	s := shape{patients: 3}
	stored, line := s.body(obs, 5), s.line(obs, 5)
	require.Contains(t, string(stored), "\n")
	got, err := s.readLine(line)
	require.NoError(t, err)
	require.Equal(t, exported{obs, 5}, got)

	for _, wrong := range [][]byte{
		bytes.Replace(line, []byte("1.50"), []byte("1.5"), 1),
		bytes.Replace(line, []byte("generated"), []byte("additional"), 1),
		bytes.Replace(line, []byte(`"id":"o1"`), []byte(`"id":"o2"`), 1),
		line[:len(line)-1],
		{},
	} {
		_, err := s.readLine(wrong)
		require.Error(t, err)
	}
	_, err = s.readElements(line)
	require.ErrorContains(t, err, "not asked for")
}

func TestLinesAreCounted(t *testing.T) {
	t.Parallel()
	fine := func([]byte) error { return nil }
	require.Empty(t, checkLines([]byte("a\nb\n"), 2, fine))
	require.Len(t, checkLines([]byte("a\nb\n"), 3, fine), 1)
	require.Len(t, checkLines([]byte("a\nb"), 2, fine), 1)
}

func TestChainIsApplied(t *testing.T) {
	t.Parallel()
	w := small()
	state := content{output: map[ref]int{ada: 1, obs: 1, gone: 1}}
	require.Empty(t, state.compare("north", w.expect(selection{tenant: "north", at: 10}).output))
	deleted, err := readDeletions("north", []byte(`{"resourceType":"Bundle","type":"transaction",`+
		`"entry":[{"request":{"method":"DELETE","url":"Encounter/e1"}}]}`))
	require.NoError(t, err)
	state.apply(content{output: map[ref]int{obs: 2}, deleted: deleted})
	require.Empty(t, state.compare("north", w.expect(selection{tenant: "north", at: 50}).output))
}

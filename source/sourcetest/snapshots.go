package sourcetest

import (
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

func snapshotCases() []testCase {
	needs := []need{needSnapshot(), needClock()}
	withDelete := append(slices.Clone(needs), needDelete())
	withSplit := append(slices.Clone(needs), needSplitter())
	return []testCase{
		{Snapshots, "new versions are not seen", needs, newVersionsUnseen},
		{Snapshots, "deletions are not seen", withDelete, deletionsUnseen},
		{Snapshots, "a stream that has begun", needs, begunStream},
		{Snapshots, "every resumed stream", needs, resumedSnapshot},
		{Snapshots, "an increment", needs, incrementAsOf},
		{Snapshots, "two moments", withDelete, twoMoments},
		{Snapshots, "Patient level", needs, compartmentAsOf},
		{Snapshots, "cuts made earlier", withSplit, earlierCuts},
	}
}

// past puts resources and returns what an export sees at the moment after.
func past(
	t tester, h *host, n int,
) (resources []resource, q bulkexport.Query, items []item) {
	t.Helper()
	resources = series("Observation", n)
	want := h.put(t, resources...)
	q = h.asOf("Observation", time.Time{}, h.cut(t))
	items = h.read(t, q)
	wantLabels(t, "AsOf reads what was committed before", items, want)
	return resources, q, items
}

const unmoved = "AsOf reads the state at that moment, whatever was written since"

func newVersionsUnseen(t tester, h *host) {
	resources, q, before := past(t, h, 20)
	for range 3 {
		h.put(t, resources[5:15]...)
		h.put(t, resource{typ: "Observation", id: "new"})
		wantSequence(t, unmoved, h.read(t, q), before)
	}
}

func deletionsUnseen(t tester, h *host) {
	resources, q, before := past(t, h, 12)
	for _, r := range resources[4:8] {
		h.remove(t, r.typ, r.id)
	}
	wantSequence(t, unmoved, h.read(t, q), before)
	h.put(t, resources[5:7]...)
	wantSequence(t, unmoved, h.read(t, q), before)
}

func begunStream(t tester, h *host) {
	resources, q, before := past(t, h, crowd)
	changed := slices.Concat(resources[:10], resources[crowd-10:])
	wantSequence(t, unmoved, h.readDisturbed(t, q, changed), before)
}

func resumedSnapshot(t tester, h *host) {
	resources, q, before := past(t, h, 20)
	h.put(t, resources[5:15]...)
	for k := range before {
		q.After = before[k].key
		wantSequence(t, "a stream resumed later reads the same state", h.read(t, q), before[k+1:])
	}
}

func incrementAsOf(t tester, h *host) {
	resources, q, _ := past(t, h, 12)
	want := h.put(t, resources[2:8]...)
	q = h.asOf(q.Type, q.AsOf, h.cut(t))
	before := h.read(t, q)
	wantLabels(t, "Since and AsOf read what was updated between them", before, want)
	h.put(t, resources[:6]...)
	wantSequence(t, unmoved, h.read(t, q), before)
}

func twoMoments(t tester, h *host) {
	resources, first, early := past(t, h, 8)
	h.remove(t, "Observation", resources[0].id)
	h.put(t, resources[1], resource{typ: "Observation", id: "new"})
	second := first
	second.AsOf = h.cut(t)
	late := h.read(t, second)
	if len(late) != len(early) {
		t.Errorf("Resources: AsOf counts one deletion and one creation: got %d, want %d",
			len(late), len(early))
	}
	h.remove(t, "Observation", resources[2].id)
	h.put(t, resources[1], resources[3])
	wantSequence(t, unmoved, h.read(t, first), early)
	wantSequence(t, unmoved, h.read(t, second), late)
}

func compartmentAsOf(t tester, h *host) {
	in := resource{typ: "Observation", id: "in", members: refer("subject", "Patient/p")}
	out := resource{typ: "Observation", id: "out"}
	h.put(t, resource{typ: "Patient", id: "p"})
	want := h.put(t, in)
	h.put(t, out)
	q := h.asOf("Observation", time.Time{}, h.cut(t))
	q.Level = bulkexport.LevelPatient

	in.members, out.members = "", in.members
	h.put(t, in, out)
	wantLabels(t, "AsOf holds for who is in a compartment", h.read(t, q), want)
}

func earlierCuts(t tester, h *host) {
	resources, q, before := past(t, h, 60)
	cuts := h.split(t, q, 10)
	h.put(t, resources...)
	var got []item
	for _, part := range h.readRanges(t, h.Source, q, cuts) {
		got = append(got, part...)
	}
	wantSequence(t, "ranges between earlier cuts hold the same state", got, before)
}

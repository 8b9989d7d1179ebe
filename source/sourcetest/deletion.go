package sourcetest

import "github.com/bulkexport/bulkexport"

func deletionCases() []testCase {
	return []testCase{
		{Deletion, "what is deleted is gone", []need{needDelete()}, deletedIsGone},
		{Deletion, "what is created again is there once", []need{needDelete()}, createdAgain},
		{Deletion, "all of a type", []need{needDelete()}, deleteAll},
	}
}

func deletedIsGone(t tester, h *host) {
	all := series("Patient", 6)
	want := h.put(t, all...)
	h.remove(t, "Patient", all[1].id)
	h.remove(t, "Patient", all[4].id)
	want = []string{want[0], want[2], want[3], want[5]}
	q := h.query("Patient")
	wantLabels(t, "a deleted resource is not yielded", h.read(t, q), want)
	q.Level = bulkexport.LevelPatient
	wantLabels(t, "a deleted resource is not yielded at Patient level", h.read(t, q), want)
	if needClock().met(h.DataSet) {
		q.AsOf = h.cut(t)
		wantLabels(t, "a deleted resource is not yielded as of a later moment", h.read(t, q), want)
	}
}

func createdAgain(t tester, h *host) {
	all := series("Patient", 4)
	want := h.put(t, all...)
	for range 2 {
		h.remove(t, "Patient", all[2].id)
		want[2] = h.put(t, all[2])[0]
		q := h.query("Patient")
		wantLabels(t, "a resource that is created again is yielded once", h.read(t, q), want)
	}
}

func deleteAll(t tester, h *host) {
	all := series("Patient", 4)
	h.put(t, all...)
	for _, r := range all {
		h.remove(t, r.typ, r.id)
	}
	h.types(t, h.scope(bulkexport.LevelSystem))
	got := h.read(t, h.query("Patient"))
	wantLabels(t, "a type whose resources are all deleted is empty", got, nil)
}

package sourcetest

import (
	"github.com/bulkexport/bulkexport"
)

func orderCases() []testCase {
	return []testCase{
		{Order, "the same each time", nil, stableOrder},
		{Order, "after every key", nil, afterEveryKey},
		{Order, "up to every key", nil, upToEveryKey},
		{Order, "every range", nil, everyRange},
		{Order, "after a key that was superseded", nil, afterSuperseded},
		{Order, "after a key that was deleted", []need{needDelete()}, afterDeleted},
		{Order, "ranges at Patient level", nil, rangesAtPatientLevel},
	}
}

// ordered puts resources of two types in turns, changes some, and reads one.
func ordered(t tester, h *host, n int) (resources []resource, items []item) {
	t.Helper()
	resources = series("Observation", n)
	others := series("Condition", n)
	for i := range resources {
		h.put(t, resources[i], others[i])
	}
	for i := 0; i < n; i += 3 {
		h.put(t, resources[i])
	}
	items = h.read(t, h.query("Observation"))
	if len(items) != n {
		t.Fatalf("Resources: each resource of the type is yielded: got %d, want %d", len(items), n)
	}
	return resources, items
}

func stableOrder(t tester, h *host) {
	_, all := ordered(t, h, 30)
	for range 3 {
		got := h.read(t, h.query("Observation"))
		wantSequence(t, "the same data comes in the same order, with the same keys", got, all)
	}
}

func afterEveryKey(t tester, h *host) {
	_, all := ordered(t, h, 30)
	q := h.query("Observation")
	const rule = "After excludes its key and all before, and nothing else"
	for k := range all {
		q.After = all[k].key
		wantSequence(t, rule, h.read(t, q), all[k+1:])
	}
}

func upToEveryKey(t tester, h *host) {
	_, all := ordered(t, h, 30)
	q := h.query("Observation")
	const rule = "UpTo includes its key and all before, and nothing else"
	for k := range all {
		q.UpTo = all[k].key
		wantSequence(t, rule, h.read(t, q), all[:k+1])
	}
}

func everyRange(t tester, h *host) {
	_, all := ordered(t, h, 12)
	q := h.query("Observation")
	for from := range all {
		for to := from; to < len(all); to++ {
			q.After, q.UpTo = all[from].key, all[to].key
			wantSequence(t, "a range is (After, UpTo]", h.read(t, q), all[from+1:to+1])
		}
	}
}

func afterSuperseded(t tester, h *host) {
	resources, all := ordered(t, h, 12)
	at := 5
	for _, r := range resources {
		if r.typ+"/"+r.id == identity(all[at]) {
			h.put(t, r)
		}
	}
	const rule = "a key keeps its place when its resource has a new version"
	wantAround(t, h, rule, all, at)
}

func afterDeleted(t tester, h *host) {
	resources, all := ordered(t, h, 12)
	at := 5
	for _, r := range resources {
		if r.typ+"/"+r.id == identity(all[at]) {
			h.remove(t, r.typ, r.id)
		}
	}
	wantAround(t, h, "a key keeps its place when its resource is deleted", all, at)
}

// wantAround reads up to and after the key of a resource that has changed, and
// looks for those that have not.
func wantAround(t tester, h *host, rule string, all []item, at int) {
	t.Helper()
	unchanged := func(items []item) []item {
		var kept []item
		for _, it := range items {
			if identity(it) != identity(all[at]) {
				kept = append(kept, it)
			}
		}
		return kept
	}
	q := h.query("Observation")
	q.UpTo = all[at].key
	wantSequence(t, rule, unchanged(h.read(t, q)), all[:at])
	q.After, q.UpTo = all[at].key, nil
	wantSequence(t, rule, unchanged(h.read(t, q)), all[at+1:])
}

func rangesAtPatientLevel(t tester, h *host) {
	h.put(t, resource{typ: "Patient", id: "p"})
	for i, r := range series("Observation", 24) {
		if i%3 == 0 {
			r.members = refer("subject", "Patient/p")
		}
		h.put(t, r)
	}
	q := h.query("Observation")
	q.Level = bulkexport.LevelPatient
	all := h.read(t, q)
	for k := range all {
		q.After, q.UpTo = nil, all[k].key
		wantSequence(t, "UpTo holds at Patient level", h.read(t, q), all[:k+1])
		q.After, q.UpTo = all[k].key, nil
		wantSequence(t, "After holds at Patient level", h.read(t, q), all[k+1:])
	}
}

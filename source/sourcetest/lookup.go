package sourcetest

import (
	"context"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

func lookupCases() []testCase {
	needs := []need{needLookup()}
	return []testCase{
		{Lookup, "each once", needs, lookUpOnce},
		{Lookup, "absent ids", needs, lookUpAbsent},
		{Lookup, "many ids", needs, lookUpMany},
		{Lookup, "the newest version", needs, lookUpNewest},
		{Lookup, "since and until", needs, lookUpSince},
		{Lookup, "Patient level", needs, lookUpCompartment},
		{Lookup, "Group level", []need{needLookup(), needGroups()}, lookUpGroup},
		{Lookup, "some patients", []need{needLookup(), needPatients()}, lookUpSome},
		{Tenants, "ids of one tenant", needs, lookUpTenant},
		{Snapshots, "ids", []need{needSnapshot(), needClock(), needLookup()}, lookUpAsOf},
	}
}

func (h *host) lookup(t tester, q bulkexport.Query, ids ...string) (items []item) {
	t.Helper()
	h.within(t, "Lookup: a query is answered", func(ctx context.Context) (err error) {
		found := h.Source.(bulkexport.SourceLookup).Lookup(ctx, q, slices.Clone(ids))
		items, err = collectItems(found, q.Type)
		return err
	})
	return items
}

func (h *host) wantLookup(t tester, rule string, q bulkexport.Query, ids, want []string) {
	t.Helper()
	wantNames(t, "Lookup: "+rule, labels(h.lookup(t, q, ids...)), want)
}

func lookUpOnce(t tester, h *host) {
	all := series("Observation", 9)
	h.put(t, series("Condition", 9)...)
	want := h.put(t, all...)
	q := h.query("Observation")
	items := h.lookup(t, q, all[7].id, all[2].id, all[7].id, all[4].id)
	wantNames(t, "Lookup: those with the ids, each once", labels(items), []string{want[2], want[4], want[7]})
	keys := make(map[string]string)
	for _, it := range h.read(t, q) {
		keys[it.label] = string(it.key)
	}
	for _, it := range items {
		if keys[it.label] != string(it.key) {
			t.Errorf("Lookup: a resource has the Key that Resources yields: %s has another", it.label)
		}
	}
}

func lookUpAbsent(t tester, h *host) {
	h.put(t, resource{typ: "Patient", id: "ab"}, resource{typ: "Condition", id: "c"})
	want := h.put(t, resource{typ: "Observation", id: "ab"})
	q := h.query("Observation")
	absent := []string{"AB", "a", "ab ", "", "%", "a_", "c", "ab' or '1'='1", "Observation/ab"}
	h.wantLookup(t, "an id that is absent gives nothing", q, append(absent, "ab"), want)
	h.wantLookup(t, "an id that is absent gives nothing", q, absent, nil)
	h.wantLookup(t, "no ids give nothing", q, nil, nil)
	for _, q.Type = range []string{"Device", "NoSuchType", "observation", ""} {
		h.wantLookup(t, "an id belongs to one type", q, []string{"ab"}, nil)
	}
}

func lookUpMany(t tester, h *host) {
	var ids []string
	all := series("Observation", crowd)
	for _, r := range all {
		ids = append(ids, r.id)
	}
	want := h.put(t, all...)
	h.wantLookup(t, "each of many ids is found", h.query("Observation"), ids[1:], want[1:])
}

func lookUpNewest(t tester, h *host) {
	all := series("Observation", 3)
	want := h.put(t, all...)
	want[1] = h.put(t, all[1])[0]
	q, ids := h.query("Observation"), []string{all[0].id, all[1].id, all[2].id}
	h.wantLookup(t, "the newest version is found", q, ids, want)
	if h.Delete == nil {
		return
	}
	h.remove(t, "Observation", all[1].id)
	h.wantLookup(t, "what is deleted is not found", q, ids, []string{want[0], want[2]})
}

func lookUpSince(t tester, h *host) {
	all := series("Observation", 6)
	stamps := h.putStamped(t, all...)
	var ids []string
	for _, r := range all {
		ids = append(ids, r.id)
	}
	for _, at := range moments(stamps) {
		q := h.query("Observation")
		q.Since = at.UTC()
		want := labelsIf(stamps, func(u time.Time) bool { return u.After(at) })
		h.wantLookup(t, "Since holds", q, ids, want)
		q.Since, q.Until = time.Time{}, at.UTC()
		want = labelsIf(stamps, func(u time.Time) bool { return u.Before(at) })
		h.wantLookup(t, "Until holds", q, ids, want)
	}
}

func lookUpCompartment(t tester, h *host) {
	_, observations := h.population(t, 2)
	h.put(t, resource{typ: "Observation", id: "none"})
	q := h.query("Observation")
	q.Level = bulkexport.LevelPatient
	h.wantLookup(t, "the level holds", q, []string{"none", "o2", "o1"}, observations[1:])
}

func lookUpGroup(t tester, h *host) {
	patients, observations := h.population(t, 3)
	group := h.put(t, groupOf("g", "Patient/p1", "Patient/p2"))
	h.put(t, groupOf("other", "Patient/p1"))
	q := h.inGroup("Observation", "g")
	const rule = "the Group holds"
	h.wantLookup(t, rule, q, []string{"o1", "o2", "o3"}, observations[1:3])
	q.Type = "Patient"
	h.wantLookup(t, rule, q, []string{"p1", "p2", "p3"}, patients[1:3])
	q.Type = "Group"
	h.wantLookup(t, rule, q, []string{"g", "other"}, group)
}

func lookUpSome(t tester, h *host) {
	_, observations := h.population(t, 3)
	q := h.limited("Observation", "p2")
	h.wantLookup(t, "Patients holds", q, []string{"o1", "o2", "o3"}, observations[2:3])
	q.Patients = limitTo()
	h.wantLookup(t, "Patients limited to none holds", q, []string{"o1", "o2", "o3"}, nil)
}

func lookUpTenant(t tester, h *host) {
	h.putIn(t, "a", resource{typ: "Patient", id: "p"}, resource{typ: "Patient", id: "q"})
	want := h.putIn(t, "b", resource{typ: "Patient", id: "p"})
	q := h.query("Patient")
	q.Tenant = "b"
	h.wantLookup(t, "a tenant finds its own resources alone", q, []string{"p", "q"}, want)
}

func lookUpAsOf(t tester, h *host) {
	resources, q, before := past(t, h, 6)
	var ids []string
	for _, r := range resources {
		ids = append(ids, r.id)
	}
	h.put(t, resources[1:3]...)
	h.put(t, resource{typ: "Observation", id: "new"})
	if h.Delete != nil {
		h.remove(t, "Observation", resources[4].id)
	}
	h.wantLookup(t, unmoved, q, append(ids, "new"), labels(before))
}

package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

func provenanceCases() []testCase {
	latest := []need{needProvenance()}
	return []testCase{
		{Provenance, "targets in a compartment", nil, provenanceOfCompartment},
		{Provenance, "a target that changes its patient", nil, provenanceOfMoved},
		{Provenance, "ranges at Patient level", nil, provenanceRanges},
		{Provenance, "types", nil, provenanceTypes},
		{Provenance, "Group level", []need{needGroups()}, provenanceOfGroup},
		{Provenance, "some patients", []need{needPatients()}, provenanceOfSome},
		{Provenance, "latest by recorded", latest, latestByRecorded},
		{Provenance, "latest by last update", latest, latestByUpdate},
		{Provenance, "latest of none", latest, latestOfNone},
		{Provenance, "latest of the present", latest, latestOfPresent},
		{Provenance, "latest whatever the query", latest, latestWhateverQuery},
		{Tenants, "Provenance of one tenant", latest, latestOfOneTenant},
		{Snapshots, "Provenance", []need{needSnapshot(), needClock()}, provenanceAsOf},
		{Snapshots, "latest Provenance", []need{needSnapshot(), needClock(), needProvenance()}, latestAsOf},
	}
}

func provenance(id, recorded string, targets ...string) resource {
	refs := make([]string, len(targets))
	for i, target := range targets {
		refs[i] = fmt.Sprintf(`{"reference":%q}`, target)
	}
	return resource{typ: "Provenance", id: id, members: fmt.Sprintf(
		`,"target":[%s],"recorded":%q,"agent":[{"who":{"reference":"Practitioner/x"}}]`,
		strings.Join(refs, ","), recorded)}
}

const anyday = "2026-01-01T00:00:00Z"

func provenanceOfCompartment(t tester, h *host) {
	want := h.put(t, provenance("early", anyday, "Observation/o1"))
	h.population(t, 2)
	h.put(t, strangers()...)
	want = append(want, h.put(t,
		provenance("patient", anyday, "Patient/p1"),
		provenance("resource", anyday, "Observation/o2"),
		provenance("version", anyday, "Observation/o2/_history/1"),
		provenance("second", anyday, "Organization/o", "Observation/none", "Observation/o1"),
		provenance("both", anyday, "Observation/o1", "Observation/o2", "Patient/p1"),
	)...)
	all := append(h.put(t,
		provenance("organization", anyday, "Organization/o"),
		provenance("stranger", anyday, "Observation/none"),
		provenance("namesake", anyday, "Condition/o1"),
		provenance("absent", anyday, "Observation/absent"),
	), want...)
	q := h.query("Provenance")
	wantLabels(t, "system level yields any Provenance", h.read(t, q), all)
	q.Level = bulkexport.LevelPatient
	wantLabels(t, "a Provenance is in the compartments of its targets", h.read(t, q), want)
}

func provenanceOfMoved(t tester, h *host) {
	h.population(t, 1)
	in := observation("moved", "p1")
	out := resource{typ: "Observation", id: "moved", members: refer("subject", "Location/l1")}
	h.put(t, out)
	want := h.put(t, provenance("v", anyday, "Observation/moved"))
	q := h.query("Provenance")
	q.Level = bulkexport.LevelPatient
	for range 2 {
		wantLabels(t, "a Provenance is out when its target is", h.read(t, q), nil)
		h.put(t, in)
		wantLabels(t, "a Provenance is in when its target is", h.read(t, q), want)
		h.put(t, out)
	}
}

func provenanceRanges(t tester, h *host) {
	h.population(t, 2)
	for i, r := range series("Provenance", 12) {
		target := []string{"Observation/o1", "Organization/o", "Patient/p2"}[i%3]
		h.put(t, provenance(r.id, anyday, target))
	}
	q := h.query("Provenance")
	q.Level = bulkexport.LevelPatient
	all := h.read(t, q)
	if len(all) != 8 {
		t.Errorf("Resources: a Provenance is in the compartments of its targets: got %d, want 8", len(all))
	}
	for k := range all {
		q.After, q.UpTo = nil, all[k].key
		wantSequence(t, "UpTo holds for Provenance", h.read(t, q), all[:k+1])
		q.After, q.UpTo = all[k].key, nil
		wantSequence(t, "After holds for Provenance", h.read(t, q), all[k+1:])
	}
	if _, ok := h.Source.(bulkexport.SourceSplitter); ok {
		q.After = nil
		h.wantPartition(t, q, h.split(t, q, 2), all)
	}
}

func provenanceTypes(t tester, h *host) {
	h.population(t, 1)
	h.put(t, provenance("v", anyday, "Observation/o1"))
	got := h.types(t, h.scope(bulkexport.LevelPatient))
	if missing := difference([]string{"Provenance"}, got); len(missing) > 0 {
		t.Errorf("Types: names Provenance if its targets are in a compartment: got %v", got)
	}
}

// provenances puts one for each Observation of a population, and returns their
// labels by the number of the patient.
func (h *host) provenances(t tester, n int) []string {
	t.Helper()
	h.population(t, n)
	labels := []string{""}
	for i := 1; i <= n; i++ {
		r := provenance(fmt.Sprint("v", i), anyday, fmt.Sprint("Observation/o", i))
		labels = append(labels, h.put(t, r)...)
	}
	return labels
}

func provenanceOfGroup(t tester, h *host) {
	h.put(t, groupOf("g", "Patient/p2", "Patient/p3"))
	want := h.provenances(t, 4)
	h.put(t, provenance("group", anyday, "Group/none"))
	got := h.read(t, h.inGroup("Provenance", "g"))
	wantLabels(t, "a Provenance is in the compartments of its targets at Group level", got, want[2:4])
}

func provenanceOfSome(t tester, h *host) {
	want := h.provenances(t, 3)
	got := h.read(t, h.limited("Provenance", "p2"))
	wantLabels(t, "Patients limits Provenance by its targets", got, want[2:3])
}

// latest returns the label of a Provenance, or nothing.
func (h *host) latest(t tester, q bulkexport.Query, typ, id string) string {
	t.Helper()
	var key []byte
	h.within(t, "LatestProvenance: a query is answered", func(ctx context.Context) (err error) {
		key, err = h.Source.(bulkexport.SourceProvenance).LatestProvenance(ctx, q, typ, id)
		key = bytes.Clone(key)
		return err
	})
	if key == nil {
		return ""
	}
	q.Since, q.Until, q.After, q.UpTo = time.Time{}, time.Time{}, nil, nil
	for _, it := range h.read(t, q) {
		if bytes.Equal(it.key, key) {
			return it.label
		}
	}
	t.Errorf("LatestProvenance: returns the Key that Resources yields: got one of %d bytes that it does not",
		len(key))
	return ""
}

func (h *host) wantLatest(t tester, rule, target, want string) {
	t.Helper()
	typ, id, _ := strings.Cut(target, "/")
	if got := h.latest(t, h.query("Provenance"), typ, id); got != want {
		t.Errorf("LatestProvenance: %s: got %q, want %q", rule, got, want)
	}
}

func latestByRecorded(t tester, h *host) {
	at := func(recorded string, targets ...string) string {
		return h.put(t, provenance("at-"+strings.NewReplacer(":", ".", "+", "-").Replace(recorded),
			recorded, targets...))[0]
	}
	at("2026-01-01T10:00:00+05:00", "Observation/o1")
	zone := at("2026-01-01T06:00:00Z", "Observation/o1", "Patient/p1")
	at("2026-01-01T05:00:00.999Z", "Observation/o1")
	at("2026-01-01T08:00:00Z", "Observation/other", "Condition/o1")
	const rule = "the most recent one by recorded"
	h.wantLatest(t, rule, "Observation/o1", zone)
	h.wantLatest(t, rule, "Patient/p1", zone)
	fraction := at("2026-01-01T06:00:00.5Z", "Observation/o1/_history/2")
	at("2026-01-01T06:00:00.25Z", "Observation/o1")
	h.wantLatest(t, rule, "Observation/o1", fraction)
}

func latestByUpdate(t tester, h *host) {
	all := []resource{
		provenance("a", anyday, "Observation/o1"),
		provenance("b", "2026-01-01T01:00:00+01:00", "Observation/o1"),
		provenance("c", anyday, "Observation/o1"),
	}
	h.putStamped(t, all...)
	for _, i := range []int{1, 0, 2, 0} {
		last := h.putStamped(t, all[i])[0].label
		h.wantLatest(t, "the last updated of those recorded at once", "Observation/o1", last)
	}
}

func latestOfNone(t tester, h *host) {
	h.wantLatest(t, "none where there is no Provenance", "Observation/o1", "")
	h.population(t, 1)
	h.put(t, provenance("v", anyday, "Observation/o1"))
	for _, target := range []string{
		"Observation/o", "Observation/O1", "Patient/p1", "Condition/o1", "Observation/", "Observation/%",
		"/o1", "Provenance/v",
	} {
		h.wantLatest(t, "none for a resource that is no target", target, "")
	}
}

func latestOfPresent(t tester, h *host) {
	h.population(t, 2)
	v := provenance("old", anyday, "Observation/o1")
	old := h.put(t, v)[0]
	newer := provenance("new", "2026-02-01T00:00:00Z", "Observation/o1")
	label := h.put(t, newer)[0]
	const rule = "versions that were superseded do not count"
	h.wantLatest(t, rule, "Observation/o1", label)
	label = h.put(t, provenance("new", "2026-02-01T00:00:00Z", "Observation/o2"))[0]
	h.wantLatest(t, rule, "Observation/o1", old)
	h.wantLatest(t, rule, "Observation/o2", label)
	if h.Delete == nil {
		return
	}
	h.remove(t, "Provenance", "old")
	h.wantLatest(t, "what is deleted does not count", "Observation/o1", "")
}

func latestWhateverQuery(t tester, h *host) {
	h.population(t, 1)
	h.put(t, provenance("a", anyday, "Observation/o1"))
	want := h.put(t, provenance("b", "2026-01-02T00:00:00Z", "Observation/o1"))[0]
	h.put(t, provenance("c", anyday, "Observation/o1"))
	all := h.read(t, h.query("Provenance"))
	if len(all) != 3 {
		t.Fatalf("Resources: each resource of the type is yielded: got %d, want 3", len(all))
	}
	queries := make([]bulkexport.Query, 4)
	for i := range queries {
		queries[i] = h.query("Provenance")
	}
	queries[0].Since = h.moment(t)
	queries[1].Until = time.Unix(0, 0).UTC()
	queries[2].After = all[len(all)-1].key
	queries[3].UpTo = all[0].key
	for _, q := range queries {
		if got := h.latest(t, q, "Observation", "o1"); got != want {
			t.Errorf("LatestProvenance: times and keys of the query do not count: got %q, want %q", got, want)
		}
	}
}

func latestOfOneTenant(t tester, h *host) {
	h.putIn(t, "a", provenance("v", "2026-01-02T00:00:00Z", "Observation/o1"))
	want := h.putIn(t, "b", provenance("w", anyday, "Observation/o1"))[0]
	h.tenant = "b"
	h.wantLatest(t, "a tenant sees its own Provenance alone", "Observation/o1", want)
	h.tenant = "c"
	h.wantLatest(t, "a tenant sees its own Provenance alone", "Observation/o1", "")
}

func provenanceAsOf(t tester, h *host) {
	want := h.provenances(t, 1)[1:]
	q := h.asOf("Provenance", time.Time{}, h.cut(t))
	q.Level = bulkexport.LevelPatient
	h.put(t, resource{typ: "Observation", id: "o1"}, provenance("late", anyday, "Patient/p1"))
	wantLabels(t, "AsOf holds for the compartments of targets", h.read(t, q), want)
}

func latestAsOf(t tester, h *host) {
	want := h.put(t, provenance("v", anyday, "Observation/o1"))[0]
	h.put(t, provenance("w", "2025-01-01T00:00:00Z", "Observation/o1"))
	q := h.asOf("Provenance", time.Time{}, h.cut(t))
	h.put(t, provenance("w", "2027-01-01T00:00:00Z", "Observation/o1"), provenance("v", anyday))
	h.put(t, provenance("x", "2026-02-01T00:00:00Z", "Observation/o1"))
	if got := h.latest(t, q, "Observation", "o1"); got != want {
		t.Errorf("LatestProvenance: tells what was the most recent at AsOf: got %q, want %q", got, want)
	}
}

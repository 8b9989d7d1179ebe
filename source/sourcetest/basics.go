package sourcetest

import (
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport"
)

func basicCases() []testCase {
	return []testCase{
		{Basics, "nothing in an empty scope", nil, emptyScope},
		{Basics, "nothing of an unknown type", nil, unknownTypes},
		{Basics, "types name all that is there", nil, typesAreComplete},
		{Basics, "each resource once", nil, eachOnce},
		{Basics, "many resources", nil, manyResources},
		{Basics, "the newest version only", nil, newestVersion},
		{Basics, "an id in two types", nil, idInTwoTypes},
		{Basics, "ids that differ by case", nil, idsDifferByCase},
	}
}

func emptyScope(t tester, h *host) {
	for _, level := range []bulkexport.Level{bulkexport.LevelSystem, bulkexport.LevelPatient} {
		scope := h.scope(level)
		for _, typ := range append(h.types(t, scope), "Patient", "Organization") {
			got := h.read(t, bulkexport.Query{Scope: scope, Type: typ})
			wantLabels(t, "a scope without resources gives an empty stream", got, nil)
		}
	}
}

func unknownTypes(t tester, h *host) {
	h.put(t, resource{typ: "Patient", id: "p1"})
	for _, typ := range []string{
		"Observation", "NoSuchType", "patient", "PATIENT", "Patient ", "Pat%", "P_tient", "*", "",
		"Patient' or '1'='1", `Patient"; --`, strings.Repeat("Patient", 1000),
	} {
		got := h.read(t, h.query(typ))
		wantLabels(t, "a type without resources gives an empty stream", got, nil)
	}
}

func typesAreComplete(t tester, h *host) {
	want := []string{"Device", "Observation", "Patient"}
	for _, typ := range want {
		h.put(t, series(typ, 3)...)
	}
	got := h.types(t, h.scope(bulkexport.LevelSystem))
	if missing := difference(want, got); len(missing) > 0 {
		t.Errorf("Types: names every type that holds resources: %v left out of %v", missing, got)
	}
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) < len(got) {
		t.Errorf("Types: names each type once: got %v", got)
	}
	if slices.Contains(got, "") {
		t.Errorf("Types: names types: got an empty name among %q", got)
	}
}

func eachOnce(t tester, h *host) {
	types := []string{"Patient", "Observation", "Organization"}
	want := make(map[string][]string)
	for i := range 23 {
		for _, typ := range types {
			want[typ] = append(want[typ], h.put(t, series(typ, 23)[i])...)
		}
	}
	for _, typ := range types {
		wantLabels(t, "each resource of the type is yielded", h.read(t, h.query(typ)), want[typ])
	}
}

// crowd is more than sources usually take in one page.
const crowd = 2100

func manyResources(t tester, h *host) {
	want := h.put(t, series("Observation", crowd)...)
	all := h.read(t, h.query("Observation"))
	wantLabels(t, "each of many resources is yielded", all, want)

	q := h.query("Observation")
	middle := len(all) / 2
	q.After = all[middle].key
	wantSequence(t, "a stream of many goes on after a key", h.read(t, q), all[middle+1:])
}

func newestVersion(t tester, h *host) {
	all := series("Patient", 9)
	kept := h.put(t, all...)
	changed := h.put(t, all[2], all[5])
	changed = append(changed, h.put(t, all[0])...)
	h.put(t, all[7])
	changed = append(changed, h.put(t, all[7])...)
	want := []string{kept[1], kept[3], kept[4], kept[6], kept[8]}
	want = append(want, changed...)
	wantLabels(t, "a new version takes the place of the old", h.read(t, h.query("Patient")), want)
}

func idInTwoTypes(t tester, h *host) {
	observation := h.put(t, resource{typ: "Observation", id: "1"})
	h.put(t, resource{typ: "Patient", id: "1"})
	patient := h.put(t, resource{typ: "Patient", id: "1"})
	const rule = "an id belongs to one type"
	wantLabels(t, rule, h.read(t, h.query("Observation")), observation)
	wantLabels(t, rule, h.read(t, h.query("Patient")), patient)
}

func idsDifferByCase(t tester, h *host) {
	want := h.put(t,
		resource{typ: "Patient", id: "Ab"}, resource{typ: "Patient", id: "aB"},
		resource{typ: "Patient", id: "ab"}, resource{typ: "Patient", id: "ab.-"},
	)
	wantLabels(t, "ids are compared byte for byte", h.read(t, h.query("Patient")), want)
}

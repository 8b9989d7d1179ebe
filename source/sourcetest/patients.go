package sourcetest

import (
	"context"
	"slices"

	"github.com/bulkexport/bulkexport"
)

func patientCases() []testCase {
	needs := []need{needPatients()}
	withGroups := []need{needPatients(), needGroups()}
	return []testCase{
		{Patients, "some at Patient level", needs, limitedPatients},
		{Patients, "some at Group level", withGroups, limitedMembers},
		{Patients, "nobody", needs, limitedToNobody},
		{Patients, "many", needs, limitedToMany},
		{Patients, "since, ranges and cuts", needs, limitedRanges},
		{Patients, "unknown at Patient level", needs, unknownPatients},
		{Patients, "unknown at Group level", withGroups, unknownMembers},
		{Patients, "unknown when deleted", []need{needPatients(), needDelete()}, deletedPatient},
		{Tenants, "patients of one tenant", needs, patientsOfOneTenant},
	}
}

// limited selects at Patient level what belongs to some patients.
func (h *host) limited(typ string, ids ...string) bulkexport.Query {
	q := h.query(typ)
	q.Level, q.Patients = bulkexport.LevelPatient, limitTo(ids...)
	return q
}

func limitTo(ids ...string) bulkexport.PatientSet {
	return bulkexport.PatientSet{Limited: true, IDs: slices.Sorted(slices.Values(ids))}
}

func limitedPatients(t tester, h *host) {
	patients, observations := h.population(t, 3)
	shared := h.put(t, observation("shared", "p2", "p1"))[0]
	h.put(t, resource{typ: "Patient", id: "P1"}, resource{typ: "Patient", id: "p11"})
	h.put(t, strangers()...)
	for typ, want := range map[string][]string{
		"Patient":      {patients[1], patients[3]},
		"Observation":  {observations[1], observations[3], shared},
		"Organization": nil,
	} {
		rule := "Patients limits " + typ + " to the compartments of those named"
		wantLabels(t, rule, h.read(t, h.limited(typ, "p1", "p3", "none")), want)
	}
	q := h.query("Observation")
	q.Level = bulkexport.LevelPatient
	wantLabels(t, "Patients that do not limit are all", h.read(t, q), append(observations[1:], shared))
}

func limitedMembers(t tester, h *host) {
	patients, observations := h.population(t, 4)
	h.put(t, groupOf("g", "Patient/p1", "Group/h"), groupOf("h", "Patient/p2"))
	q := h.inGroup("Patient", "g")
	q.Patients = limitTo("p2", "p3")
	const rule = "Patients limits a Group to its members among those named"
	wantLabels(t, rule, h.read(t, q), patients[2:3])
	q.Type = "Observation"
	wantLabels(t, rule, h.read(t, q), observations[2:3])
	q.Patients = limitTo("p3", "p4")
	wantLabels(t, rule, h.read(t, q), nil)
}

func limitedToNobody(t tester, h *host) {
	h.population(t, 2)
	h.put(t, groupOf("g", "Patient/p1"))
	queries := []bulkexport.Query{h.limited("")}
	if needGroups().met(h.DataSet) {
		q := h.inGroup("", "g")
		q.Patients = limitTo()
		queries = append(queries, q)
	}
	for _, q := range queries {
		h.types(t, q.Scope)
		for _, q.Type = range []string{"Patient", "Observation", "Group"} {
			wantLabels(t, "Patients limited to none yields nothing", h.read(t, q), nil)
		}
	}
}

func limitedToMany(t tester, h *host) {
	var want, ids []string
	for i, r := range series("Patient", crowd) {
		if label := h.put(t, r)[0]; i%2 == 0 {
			want, ids = append(want, label), append(ids, r.id)
		}
	}
	wantLabels(t, "Patients may be many", h.read(t, h.limited("Patient", ids...)), want)
}

func limitedRanges(t tester, h *host) {
	h.population(t, 2)
	since := h.moment(t)
	for i, r := range series("Observation", 24) {
		if i%3 == 0 {
			r.members = refer("subject", "Patient/p1")
		} else {
			r.members = refer("subject", "Patient/p2")
		}
		h.put(t, r)
	}
	q := h.limited("Observation", "p1")
	q.Since = since
	all := h.read(t, q)
	if len(all) != 8 {
		t.Errorf("Resources: Patients and Since hold together: got %d, want 8", len(all))
	}
	if _, ok := h.Source.(bulkexport.SourceSplitter); ok {
		h.wantPartition(t, q, h.split(t, q, 2), all)
	}
	for k := range all {
		q.After, q.UpTo = nil, all[k].key
		wantSequence(t, "Patients and UpTo hold together", h.read(t, q), all[:k+1])
		q.After, q.UpTo = all[k].key, nil
		wantSequence(t, "Patients and After hold together", h.read(t, q), all[k+1:])
	}
}

// wantUnknown asks for ids in several orders.
func (h *host) wantUnknown(t tester, scope bulkexport.Scope, ids, want []string) {
	t.Helper()
	ids, want = slices.Clone(ids), slices.Clone(want)
	for range 2 {
		var got []string
		h.within(t, "UnknownPatients: ids are checked", func(ctx context.Context) (err error) {
			got, err = h.Source.(bulkexport.SourcePatients).UnknownPatients(ctx, scope, slices.Clone(ids))
			return err
		})
		if !slices.Equal(got, want) {
			t.Errorf("UnknownPatients: those without a Patient in the scope, in the order given: got %v, want %v",
				got, want)
		}
		slices.Reverse(ids)
		slices.Reverse(want)
	}
}

func unknownPatients(t tester, h *host) {
	h.population(t, 3)
	scope := h.scope(bulkexport.LevelPatient)
	h.wantUnknown(t, scope,
		[]string{"z", "p2", "P1", "p", "p1", "a", "o1", "%", "p3", "p1 ", ""},
		[]string{"z", "P1", "p", "a", "o1", "%", "p1 ", ""})
	h.wantUnknown(t, scope, []string{"p3", "p1"}, nil)
	h.wantUnknown(t, scope, nil, nil)
}

func unknownMembers(t tester, h *host) {
	h.population(t, 4)
	h.put(t, groupOf("g", "Patient/p1", "Group/h"), groupOf("other", "Patient/p3"),
		groupWith("h", `{"entity":{"reference":"Patient/p2"}}`,
			`{"entity":{"reference":"Patient/p4"},"inactive":true}`))
	h.wantUnknown(t, h.inGroup("", "g").Scope,
		[]string{"none", "p3", "p2", "p4", "p1"}, []string{"none", "p3", "p4"})
}

func deletedPatient(t tester, h *host) {
	h.population(t, 2)
	h.remove(t, "Patient", "p1")
	scope := h.scope(bulkexport.LevelPatient)
	h.wantUnknown(t, scope, []string{"p1", "p2"}, []string{"p1"})
	h.put(t, resource{typ: "Patient", id: "p1"})
	h.wantUnknown(t, scope, []string{"p1", "p2"}, nil)
}

func patientsOfOneTenant(t tester, h *host) {
	h.putIn(t, "a", resource{typ: "Patient", id: "p1"})
	h.putIn(t, "b", resource{typ: "Patient", id: "p2"})
	scope := h.scope(bulkexport.LevelPatient)
	scope.Tenant = "b"
	h.wantUnknown(t, scope, []string{"p1", "p2"}, []string{"p1"})
	q := h.limited("Patient", "p1")
	q.Tenant = "b"
	wantLabels(t, "Patients of another tenant are not yielded", h.read(t, q), nil)
}

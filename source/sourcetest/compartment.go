package sourcetest

import (
	"github.com/bulkexport/bulkexport"
)

func compartmentCases() []testCase {
	return []testCase{
		{Compartment, "what is in and what is out", nil, compartmentMembers},
		{Compartment, "types at Patient level", nil, compartmentTypes},
		{Compartment, "a resource that changes its patient", nil, compartmentChange},
		{Compartment, "a resource before its Patient", nil, memberBeforePatient},
	}
}

// members are in the compartment of Patient/p1 or Patient/p2.
func members() []resource {
	p1, p2 := `{"reference":"Patient/p1"}`, `{"reference":"Patient/p2"}`
	return []resource{
		{typ: "Patient", id: "p1"},
		{typ: "Patient", id: "p2"},
		{typ: "Observation", id: "subject", members: `,"subject":` + p1},
		{typ: "Observation", id: "performer", members: refer("subject", "Group/x") +
			`,"performer":[{"reference":"Practitioner/x"},` + p2 + `]`},
		{typ: "Observation", id: "both", members: `,"subject":` + p1 +
			`,"performer":[` + p2 + `,` + p1 + `]`},
		{typ: "Observation", id: "versioned", members: refer("subject", "Patient/p1/_history/3")},
		{typ: "Appointment", id: "nested", members: `,"participant":[{"status":"accepted"},` +
			`{"actor":` + p1 + `}]`},
		{typ: "CarePlan", id: "deep", members: `,"activity":[{"detail":` +
			`{"performer":[` + p2 + `]}}]`},
		{typ: "EnrollmentRequest", id: "candidate", members: `,"candidate":` + p1},
		{typ: "Group", id: "members", members: `,"member":[{"entity":` + p1 + `},` +
			`{"entity":` + p2 + `}]`},
		{typ: "SupplyRequest", id: "deliver", members: `,"deliverTo":` + p1},
	}
}

// strangers are in no Patient compartment, though some name a Patient.
func strangers() []resource {
	p1 := `{"reference":"Patient/p1"}`
	return []resource{
		{typ: "Organization", id: "o"},
		{typ: "Practitioner", id: "p1"},
		{typ: "Device", id: "d", members: `,"patient":` + p1},
		{typ: "Task", id: "t", members: `,"for":` + p1},
		{typ: "Observation", id: "none"},
		{typ: "Observation", id: "location", members: refer("subject", "Location/p1")},
		{typ: "Observation", id: "contained", members: refer("subject", "#p1") +
			`,"contained":[{"resourceType":"Patient","id":"p1"},` +
			`{"resourceType":"Flag","subject":` + p1 + `}]`},
		{typ: "Observation", id: "focus", members: `,"focus":[` + p1 + `]`},
		{typ: "Group", id: "managed", members: refer("managingEntity", "Organization/o")},
		{typ: "SupplyRequest", id: "requester", members: `,"requester":` + p1},
	}
}

func compartmentMembers(t tester, h *host) {
	in, all := make(map[string][]string), make(map[string][]string)
	for _, r := range members() {
		label := h.put(t, r)[0]
		in[r.typ] = append(in[r.typ], label)
		all[r.typ] = append(all[r.typ], label)
	}
	for _, r := range strangers() {
		all[r.typ] = append(all[r.typ], h.put(t, r)...)
	}
	for typ := range all {
		q := h.query(typ)
		wantLabels(t, "system level yields "+typ+" in a compartment or not", h.read(t, q), all[typ])
		q.Level = bulkexport.LevelPatient
		wantLabels(t, "Patient level yields each "+typ+" in a compartment", h.read(t, q), in[typ])
	}
}

func compartmentTypes(t tester, h *host) {
	h.put(t, members()...)
	h.put(t, strangers()...)
	var want []string
	for _, r := range members() {
		want = append(want, r.typ)
	}
	got := h.types(t, h.scope(bulkexport.LevelPatient))
	if missing := difference(want, got); len(missing) > 0 {
		t.Errorf("Types: names every type with members of a compartment: %v left out of %v", missing, got)
	}
}

func compartmentChange(t tester, h *host) {
	in := resource{typ: "Observation", id: "1", members: refer("subject", "Patient/p1")}
	out := resource{typ: "Observation", id: "1", members: refer("subject", "Location/l1")}
	q := h.query("Observation")
	q.Level = bulkexport.LevelPatient
	h.put(t, resource{typ: "Patient", id: "p1"})
	for range 2 {
		want := h.put(t, in)
		wantLabels(t, "the newest version decides who is in the compartment", h.read(t, q), want)
		h.put(t, out)
		wantLabels(t, "the newest version decides who is out of the compartment", h.read(t, q), nil)
	}
}

func memberBeforePatient(t tester, h *host) {
	want := h.put(t, resource{typ: "Observation", id: "1", members: refer("subject", "Patient/p1")})
	h.put(t, resource{typ: "Patient", id: "p1"})
	q := h.query("Observation")
	q.Level = bulkexport.LevelPatient
	wantLabels(t, "the order of writing does not decide who is in a compartment", h.read(t, q), want)
}

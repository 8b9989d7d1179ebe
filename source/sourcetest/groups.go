package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

func groupCases() []testCase {
	needs := []need{needGroups()}
	return []testCase{
		{Groups, "an unknown Group", needs, unknownGroup},
		{Groups, "an empty Group", needs, emptyGroup},
		{Groups, "members only", needs, membersOnly},
		{Groups, "Groups in Groups", needs, nestedGroups},
		{Groups, "Groups in a circle", needs, cyclicGroups},
		{Groups, "former members", needs, formerMembers},
		{Groups, "no other Group", needs, noOtherGroup},
		{Groups, "a Group that does not name its members", needs, describedGroup},
		{Groups, "a change of members", needs, changedMembers},
		{Groups, "many members", needs, manyMembers},
		{Groups, "a Group that is deleted", []need{needGroups(), needDelete()}, deletedGroup},
		{Groups, "since", needs, sinceInGroup},
		{Groups, "ranges and cuts", needs, rangesInGroup},
		{Groups, "types", needs, typesInGroup},
		{Tenants, "Groups of one tenant", needs, groupsOfOneTenant},
		{Snapshots, "members of a Group", []need{needSnapshot(), needClock(), needGroups()}, membersAsOf},
	}
}

// groupOf makes a Group from references to its members.
func groupOf(id string, references ...string) resource {
	var members []string
	for _, reference := range references {
		members = append(members, fmt.Sprintf(`{"entity":{"reference":%q}}`, reference))
	}
	return groupWith(id, members...)
}

// groupWith makes a Group from the JSON of its members.
func groupWith(id string, members ...string) resource {
	r := resource{typ: "Group", id: id, members: `,"type":"person","actual":true`}
	if len(members) > 0 {
		r.members += `,"member":[` + strings.Join(members, ",") + `]`
	}
	return r
}

// inGroup selects all resources of a type at Group level.
func (h *host) inGroup(typ, group string) bulkexport.Query {
	q := h.query(typ)
	q.Level, q.Group = bulkexport.LevelGroup, group
	return q
}

func (h *host) checkGroup(t tester, id string) error {
	t.Helper()
	return h.outcome(t, "CheckGroup: a Group is checked", func(ctx context.Context) error {
		return h.Source.(bulkexport.SourceGroups).CheckGroup(ctx, h.tenant, id)
	})
}

func (h *host) wantGroup(t tester, id string) {
	t.Helper()
	if err := h.checkGroup(t, id); err != nil {
		t.Errorf("CheckGroup: a Group that names its members can be exported: got error: %v", err)
	}
}

// wantNoGroup makes all calls that ask for the members of a Group.
func (h *host) wantNoGroup(t tester, id string) {
	t.Helper()
	if err := wantError(h.checkGroup(t, id), bulkexport.ErrGroupNotFound); err != nil {
		t.Errorf("CheckGroup: an absent Group is ErrGroupNotFound: got error: %v", err)
	}
	for name, stream := range h.streams(h.inGroup("Observation", id)) {
		err := h.outcome(t, name+": a query is answered", func(ctx context.Context) error {
			return stream(ctx, func() bool { return true })
		})
		if err := wantError(err, bulkexport.ErrGroupNotFound); err != nil {
			t.Errorf("%s: a query about an absent Group fails with ErrGroupNotFound: got error: %v", name, err)
		}
	}
}

func unknownGroup(t tester, h *host) {
	h.population(t, 2)
	h.put(t, groupOf("g", "Patient/p1"))
	for _, id := range []string{"none", "", "G", "g%", "_", "*", "p1", "Group/g", "g' or '1'='1"} {
		h.wantNoGroup(t, id)
	}
}

func emptyGroup(t tester, h *host) {
	h.population(t, 3)
	h.put(t, groupOf("empty"), groupOf("other", "Patient/p1"),
		groupOf("devices", "Device/p1", "Practitioner/p2", "#p3", "Patient"),
		groupOf("of-empty", "Group/empty", "Group/none"),
	)
	for _, id := range []string{"empty", "devices", "of-empty"} {
		h.wantGroup(t, id)
		for _, typ := range []string{"Patient", "Observation", "Group"} {
			got := h.read(t, h.inGroup(typ, id))
			wantLabels(t, "a Group without patients has an empty export", got, nil)
		}
	}
}

func membersOnly(t tester, h *host) {
	group := h.put(t, groupOf("g", "Patient/p3", "Patient/p1/_history/7", "Patient/p3", "Device/p2"))
	patients, observations := h.population(t, 3)
	shared := h.put(t, observation("shared", "p2", "p1"))[0]
	h.put(t, strangers()...)
	h.wantGroup(t, "g")
	for typ, want := range map[string][]string{
		"Group":        group,
		"Patient":      {patients[1], patients[3]},
		"Observation":  {observations[1], observations[3], shared},
		"Organization": nil,
		"Device":       nil,
	} {
		rule := "Group level yields each " + typ + " in the compartment of a member"
		wantLabels(t, rule, h.read(t, h.inGroup(typ, "g")), want)
	}
}

func nestedGroups(t tester, h *host) {
	outer := h.put(t, groupOf("outer", "Group/middle", "Group/none", "Device/d"))
	h.put(t, groupOf("middle", "Patient/p2", "Group/inner", "Group/inner"), groupOf("other", "Patient/p4"),
		groupOf("inner", "Patient/p3", "Patient/p2"))
	patients, observations := h.population(t, 4)
	h.wantGroup(t, "outer")
	const rule = "members of nested Groups are members"
	wantLabels(t, rule, h.read(t, h.inGroup("Patient", "outer")), patients[2:4])
	wantLabels(t, rule, h.read(t, h.inGroup("Observation", "outer")), observations[2:4])
	wantLabels(t, "a Group is yielded, those in it are not", h.read(t, h.inGroup("Group", "outer")), outer)
	wantLabels(t, rule, h.read(t, h.inGroup("Patient", "inner")), patients[2:4])
}

func cyclicGroups(t tester, h *host) {
	h.put(t, groupOf("a", "Group/b", "Patient/p1"), groupOf("b", "Group/c", "Patient/p2"),
		groupOf("c", "Group/a", "Group/c", "Patient/p3"))
	patients, _ := h.population(t, 4)
	for _, id := range []string{"a", "b", "c"} {
		h.wantGroup(t, id)
		got := h.read(t, h.inGroup("Patient", id))
		wantLabels(t, "each Group of a circle is read once", got, patients[1:4])
	}
}

func formerMembers(t tester, h *host) {
	member := func(reference, more string) string {
		return fmt.Sprintf(`{"entity":{"reference":%q}%s}`, reference, more)
	}
	end := func(at time.Time, layout string) string {
		return fmt.Sprintf(`,"period":{"start":"2001","end":%q}`, at.Format(layout))
	}
	now := time.Now().UTC()
	east, west := now.In(time.FixedZone("", 5*3600)), now.In(time.FixedZone("", -5*3600))
	h.put(t,
		groupWith("g",
			member("Patient/p1", `,"inactive":true`),
			`{"inactive":true,"entity":{"reference":"Group/others"}}`,
			member("Patient/p3", `,"period":{"end":"2001"}`),
			member("Patient/p4", `,"period":{"end":"2001-12"}`),
			member("Patient/p5", end(now.AddDate(0, 0, -1), time.DateOnly)),
			member("Patient/p6", end(east.Add(-time.Minute), time.RFC3339)),
			member("Patient/p7", `,"inactive":false,"period":{"start":"2001"}`),
			// Dates last until midnight, which shall not come while this runs.
			member("Patient/p8", end(now.Add(time.Minute), time.DateOnly)),
			member("Patient/p9", end(now.Add(time.Minute), "2006")),
			member("Patient/p10", end(west.Add(time.Hour), time.RFC3339)),
		),
		groupOf("others", "Patient/p2"))
	patients, observations := h.population(t, 10)
	h.wantGroup(t, "g")
	const rule = "members that are inactive or whose period has ended are none, all others are"
	wantLabels(t, rule, h.read(t, h.inGroup("Patient", "g")), patients[7:])
	wantLabels(t, rule, h.read(t, h.inGroup("Observation", "g")), observations[7:])
}

func noOtherGroup(t tester, h *host) {
	h.population(t, 2)
	want := h.put(t, groupOf("g", "Patient/p1"))
	h.put(t, groupOf("other", "Patient/p1", "Patient/p2"), groupOf("around", "Group/g", "Patient/p1"))
	got := h.read(t, h.inGroup("Group", "g"))
	wantLabels(t, "of all Groups only the one asked for is yielded", got, want)
}

func describedGroup(t tester, h *host) {
	const modifier = `"modifierExtension":[{"url":"urn:filter","valueString":"x"}]`
	h.population(t, 1)
	described := resource{typ: "Group", id: "described", members: `,"type":"person","actual":false`}
	filtered := groupOf("filtered", "Patient/p1")
	filtered.members += "," + modifier
	h.put(t, described, filtered,
		groupWith("modified", `{"entity":{"reference":"Patient/p1"},`+modifier+`}`),
		groupOf("around", "Patient/p1", "Group/described"),
	)
	for _, id := range []string{"described", "filtered", "modified", "around"} {
		err := h.checkGroup(t, id)
		var refused *bulkexport.RequestError
		switch {
		case !errors.As(err, &refused):
			t.Errorf("CheckGroup: a *RequestError says why members cannot be told: got error: %v", err)
		case errors.Is(err, bulkexport.ErrGroupNotFound), errors.Is(err, bulkexport.ErrForbidden):
			t.Errorf("CheckGroup: a Group whose members cannot be told is there: got error: %v", err)
		case refused.Parameter == "" || refused.Code == "" || refused.Reason == "":
			t.Errorf("CheckGroup: a *RequestError has Parameter, Code and Reason: got %+v", *refused)
		case strings.Contains(refused.Error(), "p1"):
			t.Errorf("CheckGroup: a Reason names no member: got %q", refused.Reason)
		}
	}
}

func changedMembers(t tester, h *host) {
	patients, _ := h.population(t, 3)
	h.put(t, groupOf("g", "Patient/p1", "Group/h"), groupOf("h", "Patient/p2"))
	h.put(t, groupOf("g", "Patient/p3", "Group/h"), groupOf("h"))
	got := h.read(t, h.inGroup("Patient", "g"))
	wantLabels(t, "the newest version of a Group names the members", got, patients[3:])
}

func manyMembers(t tester, h *host) {
	var want, references []string
	for i, r := range series("Patient", crowd) {
		if label := h.put(t, r)[0]; i%2 == 0 {
			want, references = append(want, label), append(references, "Patient/"+r.id)
		}
	}
	h.put(t, groupOf("g", references...))
	h.wantGroup(t, "g")
	wantLabels(t, "each of many members is yielded", h.read(t, h.inGroup("Patient", "g")), want)
}

func deletedGroup(t tester, h *host) {
	patients, _ := h.population(t, 2)
	group := groupOf("g", "Patient/p1")
	h.put(t, group, groupOf("around", "Group/g", "Patient/p2"))
	h.remove(t, "Group", "g")
	h.wantNoGroup(t, "g")
	got := h.read(t, h.inGroup("Patient", "around"))
	wantLabels(t, "a nested Group that is deleted has no members", got, patients[2:])
	h.put(t, group)
	h.wantGroup(t, "g")
	got = h.read(t, h.inGroup("Patient", "g"))
	wantLabels(t, "a Group that is created again has members", got, patients[1:2])
}

func sinceInGroup(t tester, h *host) {
	h.put(t, groupOf("g", "Patient/p1", "Patient/p2"))
	h.population(t, 4)
	since := h.moment(t)
	want := h.put(t, observation("new", "p1"))
	h.put(t, observation("other", "p3"))
	q := h.inGroup("Observation", "g")
	q.Since = since
	const rule = "Since holds for resources and never for the list of members"
	wantLabels(t, rule, h.read(t, q), want)
	// Older data of a patient who joins later stays out.
	group := h.put(t, groupOf("g", "Patient/p1", "Patient/p2", "Patient/p4"))
	wantLabels(t, rule, h.read(t, q), want)
	q.Type = "Group"
	wantLabels(t, rule, h.read(t, q), group)
	q.Type = "Patient"
	wantLabels(t, rule, h.read(t, q), nil)
}

func rangesInGroup(t tester, h *host) {
	h.put(t, groupOf("g", "Patient/p1", "Group/h"), groupOf("h", "Patient/p2"))
	for i, r := range series("Observation", 24) {
		r.members = refer("subject", fmt.Sprint("Patient/p", 1+i%3))
		h.put(t, r)
	}
	q := h.inGroup("Observation", "g")
	all := h.read(t, q)
	if len(all) != 16 {
		t.Errorf("Resources: Group level yields what belongs to a member: got %d, want 16", len(all))
	}
	if _, ok := h.Source.(bulkexport.SourceSplitter); ok {
		h.wantPartition(t, q, h.split(t, q, 3), all)
	}
	for k := range all {
		q.After, q.UpTo = nil, all[k].key
		wantSequence(t, "UpTo holds at Group level", h.read(t, q), all[:k+1])
		q.After, q.UpTo = all[k].key, nil
		wantSequence(t, "After holds at Group level", h.read(t, q), all[k+1:])
	}
}

func typesInGroup(t tester, h *host) {
	h.put(t, members()...)
	h.put(t, groupOf("g", "Group/h"), groupOf("h", "Patient/p1"))
	got := h.types(t, h.inGroup("", "g").Scope)
	want := []string{"Patient", "Observation", "Appointment", "EnrollmentRequest", "SupplyRequest", "Group"}
	if missing := difference(want, got); len(missing) > 0 {
		t.Errorf("Types: names every type with resources at Group level: %v left out of %v", missing, got)
	}
}

func groupsOfOneTenant(t tester, h *host) {
	h.putIn(t, "a", resource{typ: "Patient", id: "p1"}, groupOf("g", "Patient/p1"), groupOf("h", "Patient/p2"))
	want := h.putIn(t, "b", resource{typ: "Patient", id: "p2"})
	h.putIn(t, "b", resource{typ: "Patient", id: "p1"}, groupOf("h", "Patient/p2", "Group/g"))
	h.tenant = "b"
	h.wantNoGroup(t, "g")
	got := h.read(t, h.inGroup("Patient", "h"))
	wantLabels(t, "a Group has no members by Groups of another tenant", got, want)
}

func membersAsOf(t tester, h *host) {
	patients, _ := h.population(t, 3)
	h.put(t, groupOf("g", "Patient/p1", "Group/h"), groupOf("h", "Patient/p2"))
	first := h.inGroup("Patient", "g")
	first.AsOf = h.cut(t)
	h.put(t, groupOf("g", "Patient/p3", "Group/h"), groupOf("h"))
	second := first
	second.AsOf = h.cut(t)
	h.put(t, groupOf("g", "Patient/p2"), groupOf("h", "Patient/p1"))
	wantLabels(t, "members are told as of AsOf", h.read(t, first), patients[1:3])
	wantLabels(t, "members are told as of AsOf", h.read(t, second), patients[3:])
}

package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func groupChecks() []check {
	return []check{
		{
			title: "Group level has the members, their data and this Group alone",
			ids:   ids("L-03", "L-04", "T-14", "W-37", "W-41"), run: checkGroup,
		},
		{
			title: "an empty Group has an empty manifest, never everybody",
			ids:   ids("W-38", "W-39"), run: checkEmptyGroup,
		},
		{
			title: "nested Groups are followed, each once",
			ids:   ids("T-32", "W-40"), run: checkNestedGroups,
		},
		{
			title: "inactive and ended members do not count",
			ids:   ids("T-32"), run: checkEndedMembers,
		},
		{
			title: "a Group whose members cannot be told is refused",
			ids:   ids("T-32"), run: checkUntoldGroups,
		},
		{
			title: "a Group that is not there is 404, one that vanishes fails the export",
			ids:   ids("K-03", "W-43"), run: checkMissingGroup,
		},
		{
			title: "ids are opaque",
			ids:   ids("W-42"), run: checkOpaqueIDs,
		},
		{
			title: "business rules decide about each Group",
			ids:   ids("L-12", "A-08"), run: checkGroupRules,
		},
		{
			title: "Group export needs the right to export Group",
			ids:   ids("L-11", "A-08"), run: checkGroupScope,
		},
	}
}

func checkGroup(t *testing.T) {
	k := start(t, setup{data: ward()})
	k.put(`Group/other "actual":true,` + members("Patient/a"))
	require.Equal(t, ofWard(), k.export("/Group/ward/$export").names())
	require.Equal(t, []string{"Group/ward"}, k.export("/Group/ward/$export?_type=Group").names())
}

func checkEmptyGroup(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, query := range []string{"?_type=Patient,Observation", "?_since=2001-01-01T00:00:00Z&_type=Patient"} {
		e := k.export("/Group/nobody/$export" + query)
		require.Empty(t, *e.Output)
		require.Empty(t, *e.Error)
	}
	require.NotContains(t, k.export("/Group/nobody/$export").names(), "Patient/a")
}

func checkNestedGroups(t *testing.T) {
	k := start(t, setup{data: ward()})
	k.put(`Group/loop "actual":true,`+members("Group/pool", "Group/gone"),
		`Group/pool "actual":true,`+members("Group/loop", "Patient/b"))
	require.Equal(t, only(everything(), "Patient"), k.export("/Group/all/$export?_type=Patient").names())
	require.Equal(t, []string{"Patient/b"}, k.export("/Group/loop/$export?_type=Patient").names())
}

func checkEndedMembers(t *testing.T) {
	k := start(t, setup{data: ward()})
	k.put(`Group/past "actual":true,"member":[
		{"entity":{"reference":"Patient/a"},"inactive":true},
		{"entity":{"reference":"Patient/b"},"period":{"end":"2001-01-01"}},
		{"entity":{"reference":"Patient/c"},"inactive":false,"period":{"start":"2001-01-01"}}]`)
	require.Equal(t, []string{"Patient/c"}, k.export("/Group/past/$export?_type=Patient").names())
}

func checkUntoldGroups(t *testing.T) {
	k := start(t, setup{data: ward()})
	filter := `"modifierExtension":[{"url":"http://hl7.org/fhir/uv/bulkdata/StructureDefinition/member-filter"}]`
	k.put(`Group/filter "actual":true,`+filter+`,`+members("Patient/a"),
		`Group/outer "actual":true,`+members("Group/filter"))
	for _, group := range []string{"idea", "filter", "outer"} {
		a := k.get("/Group/" + group + "/$export")
		require.Equal(t, "not-supported", k.fails(a, http.StatusBadRequest).Code)
	}
}

// checkMissingGroup has a source that finds a Group gone while it reads.
func checkMissingGroup(t *testing.T) {
	gone := func(context.Context, []byte) error {
		return fmt.Errorf("read members again: %w", bulkexport.ErrGroupNotFound)
	}
	k := start(t, setup{data: ward(), core: bulkexport.Config{MaxAttempts: 1}, before: gone})
	for _, group := range []string{"none", "no%20id", "ward%2Fx"} {
		require.Equal(t, "not-found", k.fails(k.get("/Group/"+group+"/$export"), http.StatusNotFound).Code)
	}
	job := k.kickOff("/Group/ward/$export")
	k.await(job)
	require.Contains(t, k.fails(k.get(job), http.StatusInternalServerError).Diagnostics, "Group")
}

func checkOpaqueIDs(t *testing.T) {
	k := start(t, setup{})
	long := string(bytes.Repeat([]byte("x"), 64))
	for _, id := range []string{"0", "-.-", "A", "a", "1e3", "urn.oid-1.2.3", long} {
		k.put("Patient/"+id, "Observation/"+id+" "+subject(id))
	}
	want := sorted("Patient/0", "Patient/-.-", "Patient/A", "Patient/urn.oid-1.2.3", "Patient/"+long)
	k.put(`Group/g.1 "actual":true,` + members(want...))
	require.Equal(t, want, k.export("/Group/g.1/$export?_type=Patient").names())
	require.Len(t, k.export("/Group/g.1/$export?_type=Observation").names(), len(want))
}

// groupRules are the business rules of a host.
func groupRules(_ context.Context, access bulkexport.Access, group string) error {
	switch {
	case access.Client == "bob":
		return bulkexport.ErrGroupNotFound
	case group == "all":
		return bulkexport.ErrForbidden
	}
	return nil
}

func checkGroupRules(t *testing.T) {
	k := start(t, setup{secure: true, data: ward(), core: bulkexport.Config{GroupAccess: groupRules}})
	k.kickOff("/Group/ward/$export", bearer("alice"))
	require.Equal(t, "forbidden", k.fails(k.get("/Group/all/$export", bearer("alice")), http.StatusForbidden).Code)
	require.Equal(t, "not-found", k.fails(k.get("/Group/ward/$export", bearer("bob")), http.StatusNotFound).Code)
}

func checkGroupScope(t *testing.T) {
	k := start(t, setup{secure: true, data: ward()})
	k.fails(k.get("/Group/ward/$export", bearer("patients")), http.StatusForbidden)
	e := k.export("/Group/ward/$export", bearer("group"))
	require.Equal(t, []string{"Group/ward", "Patient/a", "Patient/b"}, e.names())
}

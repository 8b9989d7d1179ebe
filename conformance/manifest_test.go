package conformance_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func manifestChecks() []check {
	return []check{
		{
			title: "every manifest has the five members that are required, lists never null",
			ids:   ids("M-01", "M-05", "M-09", "M-12", "W-68", "R-26"), run: checkMembers,
		},
		{
			title: "request is the URL of the kick-off as it was spelled",
			ids:   ids("M-04"), run: checkRequest,
		},
		{
			title: "where nothing matched, output is empty",
			ids:   ids("M-10", "M-25", "M-51", "T-27", "W-59", "R-11"), run: checkEmptyOutput,
		},
		{
			title: "items have type, absolute URL and count, which the files bear out",
			ids:   ids("M-09", "M-15", "M-20", "M-22", "M-23", "F-01", "R-10", "R-12"), run: checkItems,
		},
		{
			title: "a type has as many files as it needs, with names that sort",
			ids:   ids("M-26", "F-09", "W-77"), run: checkManyFiles,
		},
		{
			title: "extension has size, hash, consistency, empty types and what was dropped",
			ids:   ids("M-14", "M-54", "A-23", "W-61", "W-79"), run: checkExtension,
		},
		{
			title: "the type of a file is that of its lines, whatever they contain",
			ids:   ids("M-27"), run: checkContained,
		},
		{
			title: "requiresAccessToken says whether files need a token, and they do",
			ids:   ids("M-05", "M-06", "M-07", "F-06", "F-07", "T-21"), run: checkRequiresToken,
		},
	}
}

func checkMembers(t *testing.T) {
	k := start(t, setup{data: ward()})
	instant := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	for _, target := range []string{"/$export", "/Group/nobody/$export?_type=Patient"} {
		wire := k.object(k.export(target).complete.body)
		require.Regexp(t, instant, wire["transactionTime"])
		require.IsType(t, "", wire["request"])
		require.Equal(t, false, wire["requiresAccessToken"])
		require.IsType(t, []any{}, wire["output"])
		require.IsType(t, []any{}, wire["error"])
		for _, name := range []string{"deleted", "link", "outputOrganizedBy"} {
			require.NotContains(t, wire, name)
		}
	}
}

func checkRequest(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, target := range []string{
		"/$export", "/%24export?_type=Patient",
		"/Patient/$export?_since=2020-01-01T00:00:00%2B02:00&_type=Patient,Observation",
		"/Group/ward/$export?_typeFilter=Observation%3Fstatus%3Dfinal",
	} {
		require.Equal(t, k.base+target, *k.export(target).Request)
	}
}

func checkEmptyOutput(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, target := range []string{
		"/$export?_type=Account", "/$export?_until=2001-01-01T00:00:00Z", "/Group/nobody/$export?_type=Patient",
		"/$export?_type=Patient&_typeFilter=Patient%3F_id%3Dnone", "/$export?_type=Account&_since=2001-01-01T00:00:00Z",
	} {
		e := k.export(target)
		require.Empty(t, *e.Output, target)
		require.Empty(t, *e.Error, target)
		require.Empty(t, e.deleted(), target)
	}
	// A filter of the host that drops everything leaves no empty file either.
	k = start(t, setup{data: ward(), core: bulkexport.Config{Filter: drop("")}})
	require.Empty(t, *k.export("/$export").Output)
}

// drop is a filter that drops resources with a text in them.
func drop(text string) bulkexport.FilterFunc {
	return func(_ context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
		if bytes.Contains(resource, []byte(text)) {
			return nil, nil
		}
		return resource, nil
	}
}

func checkItems(t *testing.T) {
	k := start(t, setup{data: ward(), core: bulkexport.Config{MaxFileResources: 3}})
	e := k.export("/$export")
	for _, file := range *e.Output {
		require.Regexp(t, `^`+k.root+`/bulk-export/[a-z2-7]{26}/\w+\.ndjson$`, file.URL)
		require.NotNil(t, file.Type)
		require.NotNil(t, file.Count)
		require.Positive(t, *file.Count)
		require.Len(t, e.files[file.URL], *file.Count)
		for _, line := range e.files[file.URL] {
			require.Equal(t, *file.Type, k.object([]byte(line))["resourceType"])
		}
	}
	require.Equal(t, len(everything()), k.count(e))
}

func checkManyFiles(t *testing.T) {
	k := start(t, setup{core: bulkexport.Config{MaxFileResources: 2}})
	for i := range 25 {
		k.put(fmt.Sprintf("Patient/%d", i))
	}
	e := k.export("/$export")
	var urls []string
	for _, file := range *e.Output {
		require.LessOrEqual(t, *file.Count, 2)
		urls = append(urls, file.URL)
	}
	require.Len(t, slices.Compact(slices.Clone(urls)), 13)
	require.True(t, slices.IsSorted(urls))

	k = start(t, setup{data: ward(), core: bulkexport.Config{MaxFileBytes: 100}})
	for _, file := range *k.export("/$export?_type=Observation").Output {
		require.Equal(t, 1, *file.Count)
	}
}

func checkExtension(t *testing.T) {
	k := start(t, setup{data: ward(), core: bulkexport.Config{Filter: drop(`"Patient","id":"b"`)}})
	e := k.export("/$export?_type=Patient,Account,Media")
	require.Equal(t, "snapshot", extension(e.Extension, "consistency"))
	require.Equal(t, []any{"Account", "Media"}, extension(e.Extension, "empty-types"))
	require.EqualValues(t, 1, extension(e.Extension, "dropped"))
	require.Len(t, *e.Output, 1)
	file := (*e.Output)[0]
	content := k.get(file.URL).body
	sum := sha256.Sum256(content)
	require.Equal(t, hex.EncodeToString(sum[:]), extension(file.Extension, "sha256"))
	require.EqualValues(t, len(content), extension(file.Extension, "size"))
}

func checkContained(t *testing.T) {
	k := start(t, setup{data: []string{`Observation/o "contained":[{"resourceType":"Patient","id":"p"}]`}})
	e := k.export("/$export")
	require.Len(t, *e.Output, 1)
	require.Equal(t, "Observation", *(*e.Output)[0].Type)
	require.Contains(t, e.line("Observation/o"), `"contained":[{"resourceType":"Patient","id":"p"}]`)
}

func checkRequiresToken(t *testing.T) {
	open := start(t, setup{data: ward()})
	e := open.export("/$export?_type=Patient")
	require.False(t, *e.RequiresAccessToken)
	require.Equal(t, http.StatusOK, open.get((*e.Output)[0].URL).status)

	k := start(t, setup{data: ward(), secure: true})
	e = k.export("/$export?_type=Patient", bearer("alice"))
	require.True(t, *e.RequiresAccessToken)
	file := (*e.Output)[0].URL
	require.Equal(t, "login", k.fails(k.get(file), http.StatusUnauthorized).Code)
	require.Equal(t, "login", k.fails(k.get(file, bearer("expired")), http.StatusUnauthorized).Code)
	require.Equal(t, http.StatusOK, k.get(file, bearer("alice")).status)
}

func deletedChecks() []check {
	return []check{
		{
			title: "with _since, deleted lists what was deleted since, as transactions of DELETE",
			ids:   ids("P-26", "M-11", "M-40", "M-43", "M-44", "M-45", "W-60"), run: checkDeleted,
		},
		{
			title: "what was created again is only in output",
			ids:   ids("M-42", "T-31"), run: checkRecreated,
		},
		{
			title: "deletions follow level, _type, patient and _until",
			ids:   ids("M-40", "T-08", "T-31"), run: checkDeletedCriteria,
		},
		{
			title: "without _since or deletions there is no deleted",
			ids:   ids("M-41"), run: checkNothingDeleted,
		},
		{
			title: "count of a deleted file is that of its lines",
			ids:   ids("T-30"), run: checkDeletedCount,
		},
	}
}

func checkDeleted(t *testing.T) {
	k := start(t, setup{data: ward()})
	k.remove("Patient/c")
	at := k.clock.read()
	k.remove("Patient/b", "Observation/b1", "Location/l1")
	e := k.export("/$export?_since=" + stamp(at))
	require.Equal(t, []string{"Location/l1", "Observation/b1", "Patient/b"}, k.deletions(e))
	require.Empty(t, e.names())
	blocks := k.export("/Patient/$export?" + organized + "&_since=" + stamp(at))
	require.Equal(t, []string{"Observation/b1", "Patient/b"}, k.deletions(blocks))
	require.Equal(t, "Bundle", *blocks.deleted()[0].Type)
	require.NotEmpty(t, e.deleted())
	for _, file := range e.deleted() {
		require.Equal(t, "Bundle", *file.Type)
		require.Equal(t, len(e.files[file.URL]), *file.Count)
		require.Equal(t, "application/fhir+ndjson", k.get(file.URL).header.Get("Content-Type"))
		for _, line := range e.files[file.URL] {
			bundle := k.object([]byte(line))
			require.Equal(t, "Bundle", bundle["resourceType"])
			require.Equal(t, "transaction", bundle["type"])
			require.NotEmpty(t, bundle["entry"])
			for _, entry := range bundle["entry"].([]any) {
				request := entry.(map[string]any)["request"].(map[string]any)
				require.Equal(t, "DELETE", request["method"])
				require.Regexp(t, `^[A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64}$`, request["url"])
			}
		}
	}
}

func checkRecreated(t *testing.T) {
	k := start(t, setup{data: ward()})
	at := k.clock.read()
	k.remove("Patient/a", "Patient/b")
	k.put(`Patient/a "gender":"unknown"`)
	e := k.export("/$export?_since=" + stamp(at))
	require.Equal(t, []string{"Patient/a"}, e.names())
	require.Equal(t, []string{"Patient/b"}, k.deletions(e))
}

func checkDeletedCriteria(t *testing.T) {
	k := start(t, setup{data: ward()})
	at := k.clock.read()
	k.remove("Observation/a1", "Observation/c1", "Encounter/ea")
	half := k.clock.read().Add(time.Millisecond)
	k.remove("Location/l1", "Condition/c2")
	since := "$export?_since=" + stamp(at)
	ofPatients := []string{"Condition/c2", "Encounter/ea", "Observation/a1", "Observation/c1"}
	for target, want := range map[string][]string{
		"/" + since:                              sorted(append(ofPatients[:4:4], "Location/l1")...),
		"/Patient/" + since:                      ofPatients,
		"/Group/ward/" + since:                   {"Encounter/ea", "Observation/a1"},
		"/" + since + "&_type=Observation":       {"Observation/a1", "Observation/c1"},
		"/" + since + "&_until=" + stamp(half):   {"Encounter/ea", "Observation/a1", "Observation/c1"},
		"/Patient/" + since + "&_type=Condition": {"Condition/c2"},
	} {
		require.Equal(t, want, k.deletions(k.export(target)), target)
	}
	e := k.exportPost("/Patient/$export", parameter("patient", "Reference", "Patient/c"),
		parameter("_since", "Instant", at.Format(time.RFC3339)))
	require.Equal(t, []string{"Condition/c2", "Observation/c1"}, k.deletions(e))
}

func checkNothingDeleted(t *testing.T) {
	k := start(t, setup{data: ward()})
	require.Empty(t, k.export("/$export?_since=2001-01-01T00:00:00Z").deleted())
	k.remove("Patient/a")
	require.NotContains(t, k.object(k.export("/$export").complete.body), "deleted")
}

func checkDeletedCount(t *testing.T) {
	k := start(t, setup{})
	at := k.put("Basic/x")
	for i := range 250 {
		name := fmt.Sprintf("Patient/%d", i)
		k.put(name)
		k.remove(name)
	}
	e := k.export("/$export?_since=" + stamp(at))
	require.Len(t, k.deletions(e), 250)
	require.Len(t, e.deleted(), 1)
	file := e.deleted()[0]
	require.Len(t, e.files[file.URL], *file.Count)
	require.Less(t, *file.Count, 250)
}

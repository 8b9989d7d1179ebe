package conformance_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func blockChecks() []check {
	return []check{
		{
			title: "a block is a header, the Patient and what the compartment ties to it",
			ids:   ids("P-90", "F-20", "F-21", "F-25", "M-08", "M-21", "T-20"), run: checkBlocks,
		},
		{
			title: "blocks are whole where possible; a divided one repeats its header and is named",
			ids:   ids("F-22", "F-23", "M-24"), run: checkLongBlocks,
		},
		{
			title: "what refers to no Patient is left out, which is said",
			ids:   ids("F-24"), run: checkOutsideBlocks,
		},
		{
			title: "_type may leave the Patient out of its block",
			ids:   ids("T-20"), run: checkBlocksWithoutPatient,
		},
		{
			title: "a resource may be in several blocks, in each once",
			ids:   ids("T-20", "L-14"), run: checkSharedResource,
		},
		{
			title: "other types to organize by are refused",
			ids:   ids("P-92"), run: checkOtherOrganizers,
		},
	}
}

const organized = "organizeOutputBy=Patient"

func header(patient string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/` +
		patient + `"}}]}`
}

// blocks cuts lines at their headers: the names of what is in each block, by the
// patient.
func (k *server) blocks(lines []string) map[string][]string {
	k.Helper()
	found := map[string][]string{}
	patient := ""
	begin, end, _ := strings.Cut(header("*"), "*")
	for _, line := range lines {
		if reference, ok := strings.CutPrefix(line, begin); ok {
			patient = strings.TrimSuffix(reference, end)
			require.NotContains(k, found, patient, "one block")
			found[patient] = []string{}
			continue
		}
		require.NotEmpty(k, patient, "a header comes first")
		found[patient] = append(found[patient], nameOf(line))
	}
	return found
}

func checkBlocks(t *testing.T) {
	k := start(t, setup{data: ward()})
	e := k.export("/Patient/$export?" + organized + "&_type=Patient,Observation,Encounter,Condition")
	require.Equal(t, map[string][]string{
		"a": {"Patient/a", "Encounter/ea", "Observation/a1", "Observation/a2"},
		"b": {"Patient/b", "Observation/b1"},
		"c": {"Patient/c", "Condition/c2", "Observation/c1"},
	}, k.blocks(e.lines()))
	require.Equal(t, "Patient", *e.OutputOrganizedBy)
	require.Len(t, *e.Output, 1)
	require.Nil(t, (*e.Output)[0].Type)
	require.Equal(t, 12, *(*e.Output)[0].Count, "headers count")

	e = k.export("/Group/ward/$export?" + organized + "&_type=Patient")
	require.Equal(t, map[string][]string{"a": {"Patient/a"}, "b": {"Patient/b"}}, k.blocks(e.lines()))
	require.Nil(t, k.export("/Patient/$export").OutputOrganizedBy)
}

func checkLongBlocks(t *testing.T) {
	k := start(t, setup{core: bulkexport.Config{MaxFileResources: 8, Slice: 1}})
	for p, size := range []int{1, 1, 2, 0, 20, 2, 1} {
		k.put(fmt.Sprintf("Patient/p%d", p))
		for i := range size {
			k.put(fmt.Sprintf("Observation/o%d-%02d %s", p, i, subject(fmt.Sprintf("p%d", p))))
		}
	}
	e := k.export("/Patient/$export?" + organized)
	continued, again, all := map[string]bool{}, 0, []string{}
	for _, file := range *e.Output {
		lines := e.files[file.URL]
		require.LessOrEqual(t, len(lines), 8)
		require.Contains(t, lines[0], `"header"`)
		if continued[file.URL] {
			require.Equal(t, header("p4"), lines[0])
			lines = lines[1:]
			again++
		}
		if file.ContinuesInFile != "" {
			continued[file.ContinuesInFile] = true
		}
		all = append(all, lines...)
	}
	require.Equal(t, len(continued), again, "each goes on in another item")
	require.Equal(t, 2, again, "only the long one is divided")
	blocks := k.blocks(all)
	require.Len(t, blocks, 7)
	require.Len(t, blocks["p4"], 21)
	require.Len(t, blocks["p5"], 3)
}

func checkOutsideBlocks(t *testing.T) {
	k := start(t, setup{data: ward()})
	e := k.export("/$export?" + organized)
	require.NotContains(t, e.names(), "Location/l1")
	require.NotContains(t, e.names(), "ValueSet/v")
	issues := k.outcomes(e)
	require.Len(t, issues, 1)
	require.Equal(t, "information", issues[0].Severity)
}

func checkBlocksWithoutPatient(t *testing.T) {
	k := start(t, setup{data: ward()})
	e := k.export("/Patient/$export?" + organized + "&_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal")
	require.Equal(t, map[string][]string{"a": {"Observation/a1"}, "c": {"Observation/c1"}}, k.blocks(e.lines()))
}

func checkSharedResource(t *testing.T) {
	k := start(t, setup{data: []string{
		"Patient/a", "Patient/b", `Appointment/x "participant":[` +
			`{"actor":{"reference":"Patient/a"}},{"actor":{"reference":"Patient/b"}},{"actor":{"reference":"Patient/a"}}]`,
	}})
	e := k.export("/Patient/$export?" + organized)
	require.Equal(t, map[string][]string{"a": {"Patient/a", "Appointment/x"}, "b": {"Patient/b", "Appointment/x"}},
		k.blocks(e.lines()))
	require.Equal(t, []string{"Appointment/x", "Patient/a", "Patient/b"}, k.export("/Patient/$export").names())
}

func checkOtherOrganizers(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, name := range []string{"Observation", "Nonsense", "patient"} {
		k.refused(k.get("/Patient/$export?organizeOutputBy="+name), 400, "organizeOutputBy")
	}
	k.refused(k.get("/Patient/$export?"+organized+"&"+latest), 400, "organizeOutputBy")
	e := k.export("/Patient/$export?organizeOutputBy=Observation", "Prefer: handling=lenient")
	require.Equal(t, ofPatients(), e.names())
	require.Len(t, k.outcomes(e), 1)
}

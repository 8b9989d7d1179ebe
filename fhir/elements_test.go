package fhir_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

// rootElement is a word of the files that the tables are generated from.
type rootElement struct {
	name    string
	members []string // its names in JSON, more than one for a choice
	flags   string   // ! mandatory, ? modifier
}

var elementWord = regexp.MustCompile(`^(\w+)(?:\[([\w,]+)\])?(!?\??)$`)

// rootElements reads the root elements of all concrete types, in another way
// than the generator.
func rootElements(tb testing.TB, v fhir.Version) map[string][]rootElement {
	tb.Helper()
	data, err := os.ReadFile("internal/gen/elements-" + suffixes[v] + ".txt")
	require.NoError(tb, err)
	lines := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		if name, rest, _ := strings.Cut(line, " "); !strings.HasPrefix(line, "#") {
			lines[name] = rest
		}
	}
	types := make(map[string][]rootElement)
	for name := range lines {
		if name == "Resource" || name == "DomainResource" {
			continue
		}
		for base := name; base != "-"; base = strings.Fields(lines[base])[0] {
			for _, word := range strings.Fields(lines[base])[1:] {
				if m := elementWord.FindStringSubmatch(word); m != nil {
					types[name] = append(types[name], rootElement{m[1], memberNames(m[1], m[2]), m[3]})
				}
			}
		}
	}
	return types
}

func memberNames(base, choices string) []string {
	if choices == "" {
		return []string{base}
	}
	var names []string
	for suffix := range strings.SplitSeq(choices, ",") {
		names = append(names, base+suffix)
	}
	return names
}

func TestHasElement(t *testing.T) {
	t.Parallel()
	for v := range suffixes {
		for name, elements := range rootElements(t, v) {
			for _, e := range elements {
				require.True(t, v.HasElement(name, e.name), "%s.%s", name, e.name)
				require.Equal(t, len(e.members) > 1, v.HasElement(name, e.name+"[x]"), "%s.%s", name, e.name)
				for _, member := range e.members {
					require.True(t, v.HasElement(name, member), "%s.%s", name, member)
				}
			}
		}
	}
}

func TestHasElementKnowsTheDefinitions(t *testing.T) {
	t.Parallel()
	for _, element := range []string{"id", "meta", "text", "birthDate", "deceased", "deceasedBoolean"} {
		require.True(t, fhir.R4.HasElement("Patient", element), element)
	}
	for _, element := range []string{
		"", "Id", "family", "name.family", "Patient.name", "resourceType", "_birthDate", "name[x]",
		"deceasedAge", "deceased[Boolean]", "deceased[x", "[x]", "value", "birthDate!",
	} {
		require.False(t, fhir.R4.HasElement("Patient", element), element)
	}
	require.False(t, fhir.R4.HasElement("Nope", "id"))
	require.False(t, fhir.R4.HasElement("Binary", "text"), "Binary is no DomainResource")
	require.False(t, fhir.R4.HasElement("Binary", "url"), "not in HL7's definition")
	require.False(t, fhir.R4.HasElement("Observation", "triggeredBy"))
	require.True(t, fhir.R5.HasElement("Observation", "triggeredBy"))
}

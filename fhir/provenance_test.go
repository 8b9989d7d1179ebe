package fhir_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

func TestReadProvenance(t *testing.T) {
	t.Parallel()
	const base = "https://ehr.example/fhir"
	recorded := time.Date(2026, 3, 15, 9, 0, 0, 500e6, time.UTC)
	for name, tt := range map[string]struct {
		members string
		want    fhir.Provenance
	}{
		"nothing": {`"id":"x"`, fhir.Provenance{}},
		"in its order, each once": {
			`"target":[{"reference":"Observation/b"},{"display":"x","reference":"Patient/a"},
			  {"reference":"Observation/b/_history/7"}],"recorded":"2026-03-15T10:00:00.5+01:00"`,
			fhir.Provenance{
				Targets:  []fhir.Reference{{Type: "Observation", ID: "b"}, {Type: "Patient", ID: "a"}},
				Recorded: recorded,
			},
		},
		"one target without an array": {
			`"target":{"reference":"Transport/1"}`,
			fhir.Provenance{Targets: []fhir.Reference{{Type: "Transport", ID: "1"}}},
		},
		"of the own server only": {
			`"target":[{"reference":"https://other.example/fhir/Patient/a"},
			  {"reference":"https://ehr.example/fhir/Patient/b"},{"reference":"https://ehr.example/fhir"}]`,
			fhir.Provenance{Targets: []fhir.Reference{{Type: "Patient", ID: "b"}}},
		},
		"a base URL that begins with another": {
			`"target":[{"reference":"https://ehr.example/fhir/r4/Patient/a"}]`,
			fhir.Provenance{Targets: []fhir.Reference{{Type: "Patient", ID: "a"}}},
		},
		"other forms": {
			`"target":[{"reference":"#a"},{"reference":"urn:uuid:1"},{"reference":"patient/a"},
			  {"reference":"Patient"},{"reference":"Patient/"},{"reference":"/a"},{"reference":""},
			  {"reference":"Patient/a/b"},{"reference":"Patient/a/_history/"},{"reference":5},
			  {"identifier":{"value":"a"}},"Patient/a",null,[{"reference":"Patient/a"}]],
			 "agent":[{"who":{"reference":"Practitioner/p"}}],
			 "entity":[{"what":{"reference":"Observation/o"}}]`,
			fhir.Provenance{},
		},
		"no instant":    {`"recorded":"2026-03-15"`, fhir.Provenance{}},
		"not even text": {`"recorded":{},"target":"Patient/a"`, fhir.Provenance{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fhir.ReadProvenance([]byte(`{"resourceType":"Provenance",`+tt.members+`}`), base, base+"/r4")
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestReadProvenanceThatIsMalformed(t *testing.T) {
	t.Parallel()
	for _, resource := range []string{
		``, `[]`, `{"target":[{"reference":"Patient/secret"},`, `{"target":[{"reference":"Patient/secret`,
	} {
		got, err := fhir.ReadProvenance([]byte(resource))
		require.ErrorIs(t, err, fhir.ErrMalformed)
		require.NotContains(t, err.Error(), "secret")
		require.Empty(t, got)
	}
}

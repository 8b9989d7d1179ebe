package search_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
)

func FuzzCompile(f *testing.F) {
	for _, query := range []string{
		"Observation?status:not=final,amended&date=ge2026-01-01T00:00:00+02:00",
		"Patient?name:contains=%C3%A9+x",
		"Observation?component-code-value-quantity=http://loinc.org|8480-6$gt1.5e2||mm[Hg]",
		`Patient?identifier=a\|b|c\,d`,
		"Patient?general-practitioner:Practitioner=1&_has:x=y", "ValueSet?url:above=http://x/y",
		"Patient?deceased:not=true",
		"Observation%3Fstatus%3Dfinal%2Camended", "Patient?phone= 1%20555&birthdate=ap1980", "?&=%",
		"QuestionnaireResponse?questionnaire=http://x|1,#y",
		"RiskAssessment?probability=ne-1.50e-10",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, part := range search.SplitFilters(query) {
			filter, err := search.Compile(part, options)
			if err != nil {
				var refusal *search.Error
				require.ErrorAs(t, err, &refusal)
				require.NotEmpty(t, refusal.Reason)
				continue
			}
			again, err := search.Compile(filter.String(), options)
			require.NoError(t, err, "%q of %q", filter, part)
			require.Equal(t, filter.String(), again.String())
			resource := []byte(`{"resourceType":"` + filter.Type() + `","id":"a"}`)
			met, err := filter.Match(resource)
			require.NoError(t, err)
			same, err := again.Match(resource)
			require.NoError(t, err)
			require.Equal(t, met, same)
		}
	})
}

func FuzzMatch(f *testing.F) {
	var filters search.Filters
	for _, query := range []string{
		"Observation?code=a&value-quantity=gt1||mg&date=ge2013&subject=Patient/1&code-value-quantity=a$lt2",
		"Observation?component-code-value-quantity=a$2&category:text=x&patient:identifier=7&_profile=http://x",
		"Patient?name=zoe&identifier:of-type=a|b|c&deceased=false&address:contains=b&general-practitioner:missing=true",
		"ActivityDefinition?depends-on=http://x|1&context-quantity=5&url:below=http://x/y&context:not=z",
		"RiskAssessment?probability=ap0.1", "Encounter?date=sa2013-01", "Invoice?totalgross=5||EUR",
	} {
		filter, err := search.Compile(query, options)
		require.NoError(f, err)
		filters = append(filters, filter)
	}
	m := newMaker(newOracle(f), 3)
	for _, filter := range filters {
		raw, err := json.Marshal(m.resource(filter.Type()))
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add([]byte(`{"resourceType":"Observation","valueQuantity":{"value":-0.0e-5,"comparator":"\u003c"}}`))
	f.Add([]byte(`{"resourceType":"Patient","name":[{"given":["\ud800",null,[]]}],"identifier":{"type":[]}}`))
	f.Fuzz(func(t *testing.T, resource []byte) {
		for _, filter := range filters {
			met, err := filter.Match(resource)
			if err != nil {
				require.ErrorIs(t, err, fhir.ErrMalformed)
				require.False(t, met)
				require.False(t, json.Valid(resource) && resource[0] == '{',
					"an object was refused: %v", errors.Unwrap(err))
			}
		}
	})
}

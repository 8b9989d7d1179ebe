package search_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir/search"
)

func TestSplitFilters(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		"":                                 {""},
		"Observation?status=final":         {"Observation?status=final"},
		"Observation?status=final,amended": {"Observation?status=final,amended"},
		"Observation?status=final,Condition?code=a,b,Patient?": {
			"Observation?status=final", "Condition?code=a,b", "Patient?",
		},
		"Observation?code=x,Foo?":                    {"Observation?code=x,Foo?"},
		"Observation?code=Patient,Group":             {"Observation?code=Patient,Group"},
		"Observation?code=a%2Cb,Patient?gender=male": {"Observation?code=a%2Cb", "Patient?gender=male"},
		"Observation%3Fstatus%3Dfinal,Patient%3fgender%3Dmale": {
			"Observation%3Fstatus%3Dfinal", "Patient%3fgender%3Dmale",
		},
		"Observation?code=a, Patient?,  Group?x=y": {"Observation?code=a", "Patient?", "Group?x=y"},
		",Patient?": {"", "Patient?"},
		"a,b":       {"a,b"},
	} {
		require.Equal(t, want, search.SplitFilters(value), value)
	}
}

// TestDoublyEncodedFilters is what smart-fetch sends: queries joined by commas,
// commas inside a query encoded once more than the rest.
func TestDoublyEncodedFilters(t *testing.T) {
	t.Parallel()
	filters := search.SplitFilters("Observation?status=amended%2Cfinal,Patient?gender=male%2cfemale")
	require.Len(t, filters, 2)
	require.True(t, matches(t, filters[0], `{"resourceType":"Observation","status":"final"}`))
	require.True(t, matches(t, filters[1], `{"resourceType":"Patient","gender":"female"}`))
	f, err := search.Compile("Patient%3Fgender%3Dmale%2Cfemale", search.Options{})
	require.NoError(t, err)
	require.Equal(t, "Patient?gender=male,female", f.String())
}

func TestNormalForm(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"Observation?":                            "Observation?",
		"Observation?&status=final&":              "Observation?status=final",
		"Observation?status%3Anot=fin%61l,x":      "Observation?status:not=final,x",
		"Patient?name=van+der%20Berg":             "Patient?name=van%20der%20Berg",
		"Patient?name=%C3%A9&phone=+1":            "Patient?name=%C3%A9&phone=%2B1",
		`Observation?code=a\,b\|c&code=%26%3D%3F`: `Observation?code=a\,b\|c&code=%26=?`,
		"Observation%3Fstatus%3Dfinal":            "Observation?status=final",
	} {
		f, err := search.Compile(query, search.Options{})
		require.NoError(t, err, query)
		require.Equal(t, want, f.String())
		again, err := search.Compile(f.String(), search.Options{})
		require.NoError(t, err)
		require.Equal(t, want, again.String())
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		query, parameter, reason string
		unsupported              bool
	}{
		// The query as a whole.
		{"", "", "not a query", false},
		{"Observation", "", "not a query", false},
		{"status=final", "", "not a query", false},
		{"?status=final", "", "search over all types", true},
		{"Patient/1/Observation?status=final", "", "compartment", true},
		{"Patient/1?name=x", "", "compartment", true},
		{"https://x.example/Observation?status=final", "", "compartment", true},
		{"Foo?x=y", "", "resource type", true},
		{"observation?status=final", "", "resource type", true},
		// What is no criterion.
		{"Observation?_sort=date", "_sort", "controls the result", true},
		{"Observation?status=final&_count=10", "_count", "controls the result", true},
		{"Observation?_include=Observation:subject", "_include", "controls the result", true},
		{"Observation?_include:iterate=x", "_include:iterate", "controls the result", true},
		{"Observation?_revinclude=x", "_revinclude", "controls the result", true},
		{"Observation?_summary=true", "_summary", "controls the result", true},
		{"Observation?_elements=id", "_elements", "controls the result", true},
		{"Observation?_total=none", "_total", "controls the result", true},
		{"Observation?_contained=true", "_contained", "controls the result", true},
		{"Observation?_containedType=x", "_containedType", "controls the result", true},
		{"Observation?_score=x", "_score", "controls the result", true},
		{"Observation?_format=json", "_format", "controls the result", true},
		{"Observation?_pretty=true", "_pretty", "controls the result", true},
		{"Observation?_type=Patient", "_type", "one type", true},
		// What cannot be judged.
		{"Observation?subject.name=x", "subject.name", "chained", true},
		{"Observation?subject:Patient.name=x", "subject:Patient.name", "chained", true},
		{"Patient?_has:Observation:patient:code=1", "_has:Observation:patient:code", "reverse", true},
		{"Patient?_filter=name eq x", "_filter", "not supported", true},
		{"Patient?_text=x", "_text", "not supported", true},
		{"Patient?_content=x", "_content", "not supported", true},
		{"Patient?_query=x", "_query", "not supported", true},
		{"Patient?_list=x", "_list", "not supported", true},
		{"Location?near=1|2|3|km", "near", "not supported", true},
		{"Bundle?composition=1", "composition", "not supported", true},
		{"MolecularSequence?chromosome-variant-coordinate=1$2$3", "chromosome-variant-coordinate", "not supported", true},
		{"Observation?no-such-param=1", "no-such-param", "no such search parameter", true},
		{"Observation?Status=final", "Status", "no such search parameter", true},
		{"Observation?birthdate=2000", "birthdate", "no such search parameter", true},
		// Modifiers.
		{"Observation?code:in=http://x.example/vs", "code:in", "modifier", true},
		{"Observation?code:not-in=x", "code:not-in", "modifier", true},
		{"Observation?code:above=x", "code:above", "modifier", true},
		{"Observation?code:below=x", "code:below", "modifier", true},
		{"Observation?code:exact=x", "code:exact", "modifier", true},
		{"Observation?code:of-type=a|b|c", "code:of-type", "identifiers only", true},
		{"Observation?status:text=x", "status:text", "without a text", true},
		{"Observation?date:exact=2013", "date:exact", "modifier", true},
		{"Patient?name:text=x", "name:text", "modifier", true},
		{"Observation?subject:below=x", "subject:below", "modifier", true},
		{"Observation?subject:Foo=1", "subject:Foo", "modifier", true},
		{"Observation?subject:Practitioner=1", "subject:Practitioner", "does not lead", false},
		{"Observation?subject:Patient=Group/1", "subject:Patient", "not an id", false},
		{"QuestionnaireResponse?questionnaire:Questionnaire=1", "questionnaire:Questionnaire", "canonical", true},
		{"QuestionnaireResponse?questionnaire:identifier=1", "questionnaire:identifier", "canonical", true},
		{"ValueSet?url:below=urn:oid:1", "url:below", "URLs only", true},
		{"Observation?code-value-quantity:missing=true", "code-value-quantity:missing", "modifier", true},
		{"Observation?status:missing=yes", "status:missing", "true or false", false},
		{"Observation?status:missing=true,false", "status:missing", "true or false", false},
		// Values.
		{"Observation?status", "status", "no value", false},
		{"Observation?status=", "status", "no value", false},
		{"Observation?status=final,", "status", "empty", false},
		{"Observation?status=,final", "status", "empty", false},
		{"Observation?code=|", "code", "not a token", false},
		{"Observation?code=a|b|c", "code", "not a token", false},
		{"Patient?active=yes", "active", "true or false", false},
		{"Patient?_id=http://x.example|1", "_id", "no system", false},
		{"Patient?phone=home|1", "phone", "no system", false},
		{"Patient?phone=|1", "phone", "no system", false},
		{"Patient?active=http://hl7.org/fhir/special-values|true", "active", "no system", false},
		{"ValueSet?url=http://x.example/vs|1.0", "url", "canonical", true},
		{"Composition?confidentiality=http://x.example|N", "confidentiality", "not known", true},
		{"Patient?identifier:of-type=a|b", "identifier:of-type", "system|code|value", false},
		{"Observation?date=yesterday", "date", "prefix", false},
		{"Observation?date=po2013", "date", "prefix", false},
		{"Observation?date=ge", "date", "not a date", false},
		{"Observation?date=13", "date", "not a date", false},
		{"Observation?date=2013-13", "date", "not a date", false},
		{"Observation?date=2013-02-30", "date", "not a date", false},
		{"Observation?date=2013-01-14T10", "date", "not a date", false},
		{"Observation?date=2013-01-14T24:00", "date", "not a date", false},
		{"Observation?date=2013-01-14T10:00:00.Z", "date", "not a date", false},
		{"Observation?date=2013-01-14Z", "date", "not a date", false},
		{"Observation?date=2013-01-14T10:00:00%2B15:00", "date", "not a date", false},
		{"Observation?date=ge2013,x", "date", "not a date", false},
		{"Observation?value-quantity=5|mg", "value-quantity", "not a quantity", false},
		{"Observation?value-quantity=5||", "value-quantity", "not a quantity", false},
		{"Observation?value-quantity=five", "value-quantity", "prefix", false},
		{"Observation?value-quantity=gt", "value-quantity", "not a number", false},
		{"Observation?value-quantity=1.", "value-quantity", "not a number", false},
		{"Observation?value-quantity=1e", "value-quantity", "not a number", false},
		{"Observation?value-quantity=1e99999", "value-quantity", "out of range", false},
		{"RiskAssessment?probability=.5", "probability", "not a number", false},
		{"RiskAssessment?probability=NaN", "probability", "prefix", false},
		{"Observation?subject=Patient/a b", "subject", "not a reference", false},
		{"Observation?subject=Foo/1", "subject", "not a reference", false},
		{"Observation?subject=%23contained", "subject", "not a reference", false},
		{"Observation?code-value-quantity=a", "code-value-quantity", "components", false},
		{"Observation?code-value-quantity=a$1$2", "code-value-quantity", "components", false},
		{"Observation?code-value-quantity=a$x", "code-value-quantity", "not a number", false},
		{"Observation?code=%zz", "code", "percent escape", false},
		{"Observation?%zz=a", "", "percent escape", false},
	}
	for _, tt := range tests {
		f, err := search.Compile(tt.query, search.Options{})
		require.Nil(t, f, tt.query)
		var refusal *search.Error
		require.ErrorAs(t, err, &refusal, tt.query)
		require.Equal(t, tt.parameter, refusal.Parameter, tt.query)
		require.Contains(t, refusal.Reason, tt.reason, tt.query)
		require.Equal(t, tt.unsupported, refusal.Unsupported, "%s: %s", tt.query, refusal.Reason)
		require.Equal(t, map[bool]string{true: "not-supported", false: "value"}[tt.unsupported], refusal.IssueCode())
		require.Contains(t, err.Error(), refusal.Reason)
	}
}

// TestSplitFiltersOfManyCommas would not end soon if each comma cost the rest.
func TestSplitFiltersOfManyCommas(t *testing.T) {
	t.Parallel()
	commas := strings.Repeat(",", 4<<20)
	require.Equal(t, []string{"Patient?_id=" + commas, "Basic?" + commas},
		search.SplitFilters("Patient?_id="+commas+",Basic?"+commas))
}

package search_test

import "testing"

func TestReferences(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"relative": {
			subject(`"reference":"Patient/1"`),
			[]string{"subject=Patient/1", "subject=1", "subject:Patient=1",
				"subject:Patient=Patient/1", "patient=1", "patient=Patient/1",
				"subject=https://own.example/fhir/Patient/1", "subject=x,Patient/1"},
			[]string{"subject=Patient/11", "subject=Group/1", "subject:Group=1",
				"subject=2", "subject=Patient/1/_history/1",
				"subject=https://other.example/fhir/Patient/1"},
		},
		"versioned": {
			subject(`"reference":"Patient/1/_history/2"`),
			[]string{"subject=Patient/1", "subject=1", "subject=Patient/1/_history/2"},
			[]string{"subject=Patient/1/_history/1", "subject=2"},
		},
		"absolute, of this server": {
			subject(`"reference":"https://own.example/fhir/Patient/1"`),
			[]string{"subject=Patient/1", "subject=1", "patient=1",
				"subject=https://own.example/fhir/Patient/1"},
			[]string{"subject=https://other.example/fhir/Patient/1"},
		},
		"absolute, of another": {
			subject(`"reference":"https://other.example/fhir/Patient/1/_history/3"`),
			[]string{"subject=https://other.example/fhir/Patient/1", "patient:missing=false",
				"patient=https://other.example/fhir/Patient/1/_history/3"},
			[]string{"subject=Patient/1", "subject=1", "subject:Patient=1"},
		},
		"of another type than the parameter is about": {
			subject(`"reference":"Group/1"`),
			[]string{"subject=Group/1", "patient:missing=true"},
			[]string{"patient=1", "patient=Group/1"},
		},
		"urn and contained": {
			subject(`"reference":"urn:uuid:c3f1a5d0-1d7e-4a55-8d3b-2f0e9a7b6c11","type":"Patient"`),
			[]string{"subject=urn:uuid:c3f1a5d0-1d7e-4a55-8d3b-2f0e9a7b6c11",
				"patient:missing=false"},
			[]string{"subject=c3f1a5d0-1d7e-4a55-8d3b-2f0e9a7b6c11"},
		},
		"by identifier": {
			subject(`"identifier":{"system":"http://mrn.example","value":"7"},"type":"Patient"`),
			[]string{"subject:identifier=http://mrn.example|7", "patient:identifier=7"},
			[]string{"subject:identifier=8", "subject=7", "subject:identifier=|7"},
		},
		"with a filter in the path": {
			`{"resourceType":"ActivityDefinition","relatedArtifact":[{"resource":"http://x.example/a|1","type":"depends-on"},
				{"type":"successor","resource":"http://x.example/b"}]}`,
			[]string{"depends-on=http://x.example/a", "successor=http://x.example/b",
				"depends-on=http://x.example/a|1"},
			[]string{"depends-on=http://x.example/b", "successor=http://x.example/a",
				"depends-on=http://x.example/a|2"},
		},
		"canonical": {
			`{"resourceType":"QuestionnaireResponse","questionnaire":"http://x.example/Questionnaire/q|2.0"}`,
			[]string{"questionnaire=http://x.example/Questionnaire/q",
				"questionnaire=http://x.example/Questionnaire/q|2.0"},
			[]string{"questionnaire=http://x.example/Questionnaire/q|1.0",
				"questionnaire=q", "questionnaire=Questionnaire/q"},
		},
	})
}

func subject(members string) string {
	return `{"resourceType":"Observation","subject":{` + members + `}}`
}

func TestURIs(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"to the letter, or by segments": {
			`{"resourceType":"ValueSet","url":"http://acme.example/fhir/ValueSet/123"}`,
			[]string{"url=http://acme.example/fhir/ValueSet/123",
				"url:below=http://acme.example/fhir/",
				"url:below=http://acme.example/fhir",
				"url:below=http://acme.example/fhir/ValueSet/123",
				"url:above=http://acme.example/fhir/ValueSet/123/_history/5",
				"url:above=http://acme.example/fhir/ValueSet/123"},
			[]string{"url=http://acme.example/fhir/valueset/123",
				"url=http://acme.example/fhir/ValueSet/123/",
				"url:below=http://acme.example/fh",
				"url:below=http://acme.example/fhir/ValueSet/123/1",
				"url:above=http://acme.example/fhir/ValueSet/1234",
				"url:above=http://acme.example/fhir"},
		},
		"a urn": {
			`{"resourceType":"ValueSet","url":"urn:oid:1.2.3"}`,
			[]string{"url=urn:oid:1.2.3"},
			[]string{"url=urn:oid:1.2"},
		},
	})
}

package search_test

import "testing"

func TestTokens(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"CodeableConcept": {
			`{"resourceType":"Observation","code":{"text":"Blood pressure","coding":[
				{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure panel"},
				{"code":"bp"},{"system":"http://x.example","code":"N"}]}}`,
			[]string{"code=85354-9", "code=http://loinc.org|85354-9", "code=bp",
				"code=|bp", "code=http://loinc.org|", "code=BP",
				"code=http://x.example|n", "code=no,bp", "code=http%3A%2F%2Floinc.org%7C85354-9"},
			[]string{"code=85354", "code=|85354-9", "code=http://x.example|bp",
				"code=http://x.example|85354-9", "code=http://snomed.info/sct|",
				"code=HTTP://LOINC.ORG|85354-9", "code=Blood pressure"},
		},
		":not also takes what has no value": {
			`{"resourceType":"Observation","status":"final"}`,
			[]string{"status:not=amended", "code:not=x", "status:not=amended,corrected"},
			[]string{"status:not=final", "status:not=amended,final"},
		},
		":not is about all codings": {
			`{"resourceType":"Observation","category":[{"coding":[{"code":"a"}]},{"coding":[{"code":"b"}]}]}`,
			[]string{"category:not=c"},
			[]string{"category:not=a", "category:not=b"},
		},
		":text": {
			`{"resourceType":"Patient","identifier":[{"value":"1","type":{"text":"Führerschein"}}],
				"maritalStatus":{"text":"Verheiratet","coding":[{"code":"M","display":"Married"}]},
				"communication":[{"language":{"coding":[{"display":"français"}]}}],
				"meta":{"tag":[{"code":"x","display":"Ächt"}]}}`,
			[]string{"identifier:text=fuhrer", "language:text=FRANC", "_tag:text=acht"},
			[]string{"identifier:text=1", "language:text=anc", "_tag:text=x"},
		},
		"Identifier": {
			`{"resourceType":"Patient","identifier":[{"system":"http://mrn.example","value":"12a",
				"type":{"coding":[{"system":"http://t.example","code":"MR"}]}},{"system":"http://only.example"}]}`,
			[]string{"identifier=12a", "identifier=http://mrn.example|12A",
				"identifier=http://only.example|", "identifier:of-type=http://t.example|MR|12a",
				"identifier:of-type=http://t.example|XX|1,http://t.example|MR|12a"},
			[]string{"identifier=|12a", "identifier=http://only.example|12a",
				"identifier:of-type=http://t.example|XX|12a",
				"identifier:of-type=http://t.example|MR|12"},
		},
		"ContactPoint": {
			`{"resourceType":"Patient","telecom":[{"system":"phone","value":"+1 555"},
				{"system":"email","value":"A@x.example"}]}`,
			[]string{"phone=%2B1 555", "phone=+1 555", "phone= 1 555", "email=a@X.example",
				"telecom=a@x.example"},
			[]string{"phone=a@x.example", "email=%2B1 555", "phone=1 555"},
		},
		"code": {
			`{"resourceType":"Patient","gender":"male","active":true}`,
			[]string{"gender=male", "gender=http://hl7.org/fhir/administrative-gender|male",
				"gender=http://hl7.org/fhir/administrative-gender|", "gender=|male", "active=true"},
			[]string{"gender=Male", "gender=http://x.example|male", "active=false"},
		},
		"string as a token is compared whole": {
			`{"resourceType":"ValueSet","version":"1.0-Beta"}`,
			[]string{"version=1.0-Beta", "version=1.0-beta"},
			[]string{"version=1.0", "version=1.0-Betas"},
		},
		"FHIR escapes": {
			`{"resourceType":"Observation","code":{"coding":[{"system":"a|b","code":"x,y$z\\"}]}}`,
			[]string{`code=x\,y\$z\\`, `code=x\,y$z\\`, `code=a\|b|x\,y\$z\\`,
				`code=no,x\,y\$z\\`},
			[]string{`code=x,y\$z\\`},
		},
	})
}

func TestPatientDeceased(t *testing.T) {
	t.Parallel()
	dead := []string{"deceased=true", "deceased:not=false", "deceased:missing=false",
		"deceased=true,false"}
	alive := []string{"deceased=false", "deceased:not=true", "deceased:missing=false",
		"deceased=true,false"}
	never := []string{"deceased:missing=true", "deceased:not=true,false"}
	judge(t, map[string]judgement{
		"by a date": {`{"resourceType":"Patient","deceasedDateTime":"2020"}`, dead, append(never,
			alive[:2]...)},
		"true": {`{"resourceType":"Patient","deceasedBoolean":true}`, dead, append(never,
			alive[:2]...)},
		"false": {`{"resourceType":"Patient","deceasedBoolean":false}`, alive, append(never,
			dead[:2]...)},
		"absent": {`{"resourceType":"Patient"}`, alive, append(never, dead[:2]...)},
	})
}

package search_test

import "testing"

func TestComposites(t *testing.T) {
	t.Parallel()
	const pressure = `{"resourceType":"Observation","code":{"coding":[{"code":"85354-9"}]},"component":[
		{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]},"valueQuantity":{"value":120,"code":"mm[Hg]"}},
		{"code":{"coding":[{"system":"http://loinc.org","code":"8462-4"}]},"valueQuantity":{"value":80,"code":"mm[Hg]"}}]}`
	judge(t, map[string]judgement{
		"parts belong to the same element": {
			pressure,
			[]string{"component-code-value-quantity=8480-6$120",
				"component-code-value-quantity=http://loinc.org|8480-6$gt110||mm[Hg]",
				"component-code-value-quantity=8480-6$lt100,8462-4$lt90",
				"combo-code-value-quantity=8462-4$80"},
			[]string{"component-code-value-quantity=8480-6$80",
				"component-code-value-quantity=8462-4$gt100",
				"component-code-value-quantity=8480-6$lt100,8462-4$gt90",
				"code-value-quantity=8480-6$120"},
		},
		"of the resource itself": {
			`{"resourceType":"Observation","valueDateTime":"2013-01-14","code":{"coding":[{"code":"a$b"}]}}`,
			[]string{`code-value-date=a\$b$2013`, `code-value-date=a\$b$ge2013-01-14&code=a\$b`},
			[]string{`code-value-date=a\$b$2014`, `code-value-date=a$2013`},
		},
		"a token and a reference": {
			`{"resourceType":"DocumentReference","relatesTo":[{"code":"replaces","target":{"reference":"DocumentReference/1"}},
				{"code":"signs","target":{"reference":"DocumentReference/2"}}]}`,
			[]string{"relationship=replaces$DocumentReference/1", "relationship=signs$2"},
			[]string{"relationship=signs$DocumentReference/1"},
		},
		"numbers": {
			`{"resourceType":"MolecularSequence","referenceSeq":{"chromosome":{"coding":[{"code":"1"}]},
				"windowStart":100,"windowEnd":200}}`,
			[]string{"chromosome-window-coordinate=1$ge100$le200"},
			[]string{"chromosome-window-coordinate=1$gt100$le200",
				"chromosome-window-coordinate=2$100$200"},
		},
	})
}

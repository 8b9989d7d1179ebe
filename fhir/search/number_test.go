package search_test

import (
	"strings"
	"testing"
)

func TestNumbers(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"precision of the query": {
			risk(`0.10`),
			[]string{"probability=0.1", "probability=0.10", "probability=1e-1",
				"probability=0.100", "probability=0", "probability=ge0.1",
				"probability=le0.1000", "probability=ap0.11", "probability=ne0.2",
				"probability=gt0.0999999999999999999999999999999", "probability=eb0.11"},
			[]string{"probability=0.11", "probability=1", "probability=gt0.1",
				"probability=lt0.1", "probability=ne0.1", "probability=sa0.10",
				"probability=ap0.112"},
		},
		"ap is no less than eq": {
			risk(`0.6`),
			[]string{"probability=1", "probability=ap1", "probability=ap0.65"},
			[]string{"probability=ap2", "probability=ap0.7"},
		},
		"half a digit more": {
			risk(`0.15`),
			[]string{"probability=0.2", "probability=0.15"},
			[]string{"probability=0.1"},
		},
		"9.5 is 10": {risk(`9.5`), []string{"probability=10", "probability=1e1"},
			[]string{"probability=10.0", "probability=9"}},
		"10.5 is not": {risk(`10.5`), []string{"probability=11", "probability=1e1"},
			[]string{"probability=10"}},
		"exponents": {
			risk(`1.5E+2`),
			[]string{"probability=150", "probability=1.5e2", "probability=2e2",
				"probability=15e%2B1", "probability=15e+1"},
			[]string{"probability=1e2", "probability=150.1"},
		},
		"huge exponents": {
			risk(`1e999999999999999999999`),
			[]string{"probability=gt1e1000"},
			[]string{"probability=lt1e1000", "probability=1e1000"},
		},
		"tiny ones": {
			risk(`-1e-999999999999999999999`),
			[]string{"probability=lt0", "probability=gt-1e-1000", "probability=0"},
			[]string{"probability=ge0"},
		},
		"many digits": {
			risk(`0.` + strings.Repeat("3", 200)),
			[]string{"probability=gt0." + strings.Repeat("3", 90),
				"probability=lt0." + strings.Repeat("3", 90) + "4"},
			[]string{"probability=le0." + strings.Repeat("3", 90)},
		},
		"zero and negative zero": {
			risk(`-0.0`),
			[]string{"probability=0", "probability=-0", "probability=ap0",
				"probability=ge0", "probability=le0.000", "probability=gt-1"},
			[]string{"probability=lt0", "probability=gt0"},
		},
		"negative numbers": {
			risk(`-5`),
			[]string{"probability=-5", "probability=lt-4.9", "probability=gt-5.1",
				"probability=ap-5.4"},
			[]string{"probability=5", "probability=gt-4", "probability=ap-6"},
		},
		"a Range": {
			`{"resourceType":"RiskAssessment","prediction":[{"probabilityRange":{"low":{"value":2},"high":{"value":4}}}]}`,
			[]string{"probability=gt3", "probability=lt3", "probability=ge4",
				"probability=ne3", "probability=sa1", "probability=ap3"},
			[]string{"probability=3", "probability=gt4", "probability=sa2"},
		},
	})
}

func risk(probability string) string {
	return `{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":` + probability + `}]}`
}

func TestQuantities(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"units are compared as they stand": {
			measured(`{"value":5.40,"unit":"milligram","system":"http://unitsofmeasure.org","code":"mg"}`),
			[]string{"value-quantity=5.4", "value-quantity=5.40|http://unitsofmeasure.org|mg",
				"value-quantity=5.4||mg", "value-quantity=5.4||milligram",
				"value-quantity=5.4|http://unitsofmeasure.org|",
				"value-quantity=gt5||mg", "value-quantity=1,5.4",
				"value-quantity=ne5.4||mg,5.4"},
			[]string{"value-quantity=5.4||MG", "value-quantity=5.4|http://x.example|mg",
				"value-quantity=0.0054||g",
				"value-quantity=5.4|http://unitsofmeasure.org|milligram",
				"value-quantity=ne5.4||mg", "value-quantity=ne1||g"},
		},
		"a comparator makes a range": {
			measured(`{"value":5,"comparator":"<","code":"mg"}`),
			[]string{"value-quantity=lt5", "value-quantity=lt1", "value-quantity=gt4",
				"value-quantity=ne5", "value-quantity=eb5"},
			[]string{"value-quantity=5", "value-quantity=ge5", "value-quantity=gt5",
				"value-quantity=sa1"},
		},
		"another comparator": {
			measured(`{"comparator":">=","value":5}`),
			[]string{"value-quantity=gt100", "value-quantity=le5", "value-quantity=sa4"},
			[]string{"value-quantity=lt5", "value-quantity=sa5", "value-quantity=5"},
		},
		"without a value": {
			measured(`{"code":"mg","value":null}`),
			[]string{"value-quantity:missing=false"},
			[]string{"value-quantity=ne1", "value-quantity=lt5"},
		},
		"Money has a currency": {
			`{"resourceType":"Invoice","totalGross":{"value":10.50,"currency":"EUR"}}`,
			[]string{"totalgross=10.5", "totalgross=10.5|urn:iso:std:iso:4217|EUR",
				"totalgross=10.5||EUR"},
			[]string{"totalgross=10.5||USD"},
		},
		"Age and Range": {
			`{"resourceType":"Condition","onsetAge":{"value":40,"code":"a","system":"http://unitsofmeasure.org"},
				"abatementRange":{"low":{"value":50,"unit":"years"}}}`,
			[]string{"onset-age=40||a", "abatement-age=gt60||years", "abatement-age=ge1000"},
			[]string{"onset-age=41", "abatement-age=lt50", "abatement-age=gt60||months"},
		},
	})
}

func measured(quantity string) string {
	return `{"resourceType":"Observation","valueQuantity":` + quantity + `}`
}

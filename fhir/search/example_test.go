package search_test

import (
	"errors"
	"fmt"

	"github.com/bulkexport/bulkexport/fhir/search"
)

func ExampleCompile() {
	f, err := search.Compile("Observation?code=http://loinc.org|8480-6&date=ge2026", search.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	met, err := f.Match([]byte(`{"resourceType":"Observation","effectiveDateTime":"2026-02-03",` +
		`"code":{"coding":[{"system":"http://loinc.org","code":"8480-6"}]}}`))
	fmt.Println(met, err)
	// Output: true <nil>
}

func ExampleError() {
	_, err := search.Compile("Observation?subject.name=Smith", search.Options{})
	var refusal *search.Error
	if errors.As(err, &refusal) {
		fmt.Println(refusal.IssueCode(), refusal.Parameter)
		fmt.Println(err)
	}
	// Output:
	// not-supported subject.name
	// search: Observation?subject.name: chained parameters are not supported
}

func ExampleSplitFilters() {
	for _, query := range search.SplitFilters("Observation?status=final,amended,Patient?gender=female") {
		fmt.Println(query)
	}
	// Output:
	// Observation?status=final,amended
	// Patient?gender=female
}

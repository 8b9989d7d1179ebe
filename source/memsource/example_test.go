package memsource_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func Example() {
	src := memsource.New(memsource.Config{})
	_, err := src.Load(context.Background(), "", strings.NewReader(
		`{"resourceType":"Patient","id":"p1"}
		 {"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}
		 {"resourceType":"Observation","id":"o2","subject":{"reference":"Location/l1"}}`,
	))
	if err != nil {
		log.Fatal(err)
	}
	for r, err := range src.Resources(context.Background(), bulkexport.Query{
		Scope: bulkexport.Scope{Level: bulkexport.LevelPatient},
		Type:  "Observation",
	}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(r.JSON))
	}
	// Output: {"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}
}

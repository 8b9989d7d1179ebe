package search

import (
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport/fhir"
)

//go:generate go run ./internal/gen

// Parameter is a search parameter that filters can use.
type Parameter struct {
	// Name is what stands in the query, like "code" or "_lastUpdated".
	Name string
	// Type is the FHIR search parameter type: token, string, date, reference,
	// quantity, number, uri or composite.
	Type string
	// Definition is the canonical URL of the SearchParameter.
	Definition string
}

// Parameters returns the parameters that [Compile] accepts for a resource type,
// sorted by name, as CapabilityStatement.rest.resource.searchParam lists them.
// A type that R4 does not know has none. The caller owns the slice.
func Parameters(resourceType string) []Parameter {
	if !fhir.R4.IsResourceType(resourceType) {
		return nil
	}
	var parameters []Parameter
	for _, d := range slices.Concat(definitionsOf("Resource"), definitionsOf(resourceType)) {
		if d.judged() {
			parameters = append(parameters, Parameter{
				Name:       d.name,
				Type:       d.kind,
				Definition: "http://hl7.org/fhir/SearchParameter/" + d.id,
			})
		}
	}
	slices.SortFunc(parameters, func(a, b Parameter) int { return strings.Compare(a.Name, b.Name) })
	return parameters
}

// typeDefinitions are the parameters of one resource type.
type typeDefinitions struct {
	name       string
	parameters []definition
}

// definition is a row of the generated table.
type definition struct {
	name, kind, id string
	// paths lead to the elements, in the notation that [parsePaths] reads.
	paths string
	// targets are the types that a reference may lead to; "Resource" is any.
	targets string
	// components are those of a composite; their paths start at its elements.
	components []component
}

type component struct{ kind, paths string }

// judged is false for a parameter without expression, and for one whose
// expression cannot be followed here.
func (d definition) judged() bool {
	return d.paths != "" &&
		!slices.ContainsFunc(d.components, func(c component) bool { return c.paths == "" })
}

// leadsTo reports whether a reference may be to a resource of the type.
func (d definition) leadsTo(resourceType string) bool {
	targets := strings.Fields(d.targets)
	return slices.Contains(targets, resourceType) || slices.Contains(targets, "Resource")
}

func definitionsOf(name string) []definition {
	i, found := slices.BinarySearchFunc(definitions, name, func(t typeDefinitions, name string) int {
		return strings.Compare(t.name, name)
	})
	if !found {
		return nil
	}
	return definitions[i].parameters
}

// define finds a parameter among those of the type and those of all types.
func define(resourceType, name string) (definition, bool) {
	for _, base := range []string{resourceType, "Resource", "DomainResource"} {
		for _, d := range definitionsOf(base) {
			if d.name == name {
				return d, true
			}
		}
	}
	return definition{}, false
}

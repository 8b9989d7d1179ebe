// Package fhir holds what FHIR R4 (4.0.1) defines and a host should not have
// to write down again: the resource types, the Patient compartment, and the
// few members that name a resource.
//
// Resources are read as raw JSON bytes, in place. Nothing is decoded to Go
// values, so numbers and key order are never touched. The functions expect
// valid JSON and do not prove that it is: malformed input gives an error that
// wraps [ErrMalformed], or less of a result, but never a panic.
package fhir

import (
	"errors"
	"sort"
)

//go:generate go run ./internal/gen

// ErrMalformed means that the bytes are not a FHIR resource: not JSON, not an
// object, without resourceType, or with a member of the wrong JSON type. Texts
// around it never quote content.
var ErrMalformed = errors.New("fhir: malformed resource")

// resourceType is one row of the generated table.
type resourceType struct {
	name string
	// patientPaths are the dotted paths of the reference strings that tie a
	// resource to a patient. Arrays may occur at any step; no two paths begin
	// with the same element.
	patientPaths []string
}

// ResourceTypes returns the names of the 146 concrete resource types of R4,
// sorted. Among them are OperationOutcome and Parameters, which servers seldom
// store; the abstract Resource and DomainResource are not. The caller owns the
// slice.
func ResourceTypes() []string {
	names := make([]string, len(resourceTypes))
	for i, t := range resourceTypes {
		names[i] = t.name
	}
	return names
}

// IsResourceType reports whether name is a concrete resource type of R4. Case
// matters.
func IsResourceType(name string) bool {
	_, ok := lookUp(name)
	return ok
}

// IsPatientCompartmentType reports whether resources of the type can be in the
// R4 Patient compartment. It is true for Patient itself.
func IsPatientCompartmentType(name string) bool {
	t, _ := lookUp(name)
	return len(t.patientPaths) > 0
}

// ValidID reports whether s follows the grammar of a FHIR id: 1 to 64 ASCII
// letters, digits, hyphens and dots.
func ValidID(s string) bool {
	if len(s) < 1 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if !isIDByte(s[i]) {
			return false
		}
	}
	return true
}

func isIDByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '-' || c == '.'
}

func lookUp(name string) (resourceType, bool) {
	i := sort.Search(len(resourceTypes), func(i int) bool { return resourceTypes[i].name >= name })
	if i == len(resourceTypes) || resourceTypes[i].name != name {
		return resourceType{}, false
	}
	return resourceTypes[i], true
}

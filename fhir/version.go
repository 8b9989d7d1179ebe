package fhir

import "sort"

// Version is a FHIR version, written as servers write it in
// CapabilityStatement.fhirVersion. Its methods answer by what that version
// defines and are safe for concurrent use. The zero value means [R4]; a version
// that is not [Version.Valid] has no types.
type Version string

// The versions whose definitions this package holds.
const (
	R4 Version = "4.0.1"
	R5 Version = "5.0.0"
)

// Valid reports whether v is R4, R5 or the zero value.
func (v Version) Valid() bool {
	return v.types() != nil
}

// ResourceTypes returns the names of the concrete resource types, sorted: 146
// in R4, 158 in R5. Among them are OperationOutcome and Parameters, which
// servers seldom store; the abstract Resource and DomainResource are not. The
// caller owns the slice.
func (v Version) ResourceTypes() []string {
	types := v.types()
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.name
	}
	return names
}

// IsResourceType reports whether name is a concrete resource type. Case
// matters.
func (v Version) IsResourceType(name string) bool {
	_, ok := v.lookUp(name)
	return ok
}

// IsPatientCompartmentType reports whether resources of the type can be in the
// Patient compartment. It is true for Patient itself. Task is inside in R5
// alone; Device, Medication, Location, Organization, Practitioner and
// PractitionerRole are outside in both versions.
func (v Version) IsPatientCompartmentType(name string) bool {
	t, _ := v.lookUp(name)
	return len(t.patientPaths) > 0
}

// resourceType is one row of the generated tables.
type resourceType struct {
	name string
	// patientPaths are the dotted paths of the reference strings that tie a
	// resource to a patient. Arrays may occur at any step; no two paths begin
	// with the same element.
	patientPaths []string
	// elements are the root elements in the words of [parseElement].
	elements string
	// attachments are the members that hold Attachments, at whatever depth,
	// and do not say so by their name.
	attachments []string
}

func (v Version) types() []resourceType {
	switch v {
	case "", R4:
		return typesR4
	case R5:
		return typesR5
	}
	return nil
}

func (v Version) lookUp(name string) (resourceType, bool) {
	types := v.types()
	i := sort.Search(len(types), func(i int) bool { return types[i].name >= name })
	if i == len(types) || types[i].name != name {
		return resourceType{}, false
	}
	return types[i], true
}

package fhir

import "time"

// Identity is what names a resource and dates it.
type Identity struct {
	// Type is resourceType as the resource has it. Whether FHIR knows it is for
	// [Version.IsResourceType] to say.
	Type string
	// ID is the logical id as the resource has it; empty where it has none.
	ID string
	// LastUpdated is meta.lastUpdated in UTC; zero where the resource has none.
	LastUpdated time.Time
}

// Identify reads the members that name a resource. It stops as soon as it has
// them, so that nothing is said about the rest. An absent resourceType, an id
// that is not a string and a lastUpdated that is not an instant are
// [ErrMalformed].
func Identify(resource []byte) (Identity, error) {
	var (
		s    = scanner{data: resource}
		id   Identity
		meta bool
	)
	for name := range s.members {
		switch string(name) {
		case "resourceType":
			id.Type = typeName(s.text())
		case "id":
			id.ID = string(s.text())
		case "meta":
			id.LastUpdated = s.lastUpdated()
			meta = true
		}
		if meta && id.Type != "" && id.ID != "" {
			break
		}
	}
	if s.err == nil && id.Type == "" {
		s.fail("no resourceType")
	}
	if s.err != nil {
		return Identity{}, s.err
	}
	return id, nil
}

// lastUpdated reads the meta element that is next.
func (s *scanner) lastUpdated() time.Time {
	var t time.Time
	for name := range s.members {
		if string(name) != "lastUpdated" {
			continue
		}
		if err := t.UnmarshalText(s.text()); err != nil {
			s.fail("meta.lastUpdated is not an instant")
		}
	}
	return t.UTC()
}

// typeName makes no copy of a name that a table has.
func typeName(name []byte) string {
	for _, v := range [...]Version{R4, R5} {
		if t, ok := v.lookUp(string(name)); ok {
			return t.name
		}
	}
	return string(name)
}

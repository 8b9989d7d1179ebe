package gormsource

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/bulkexport/bulkexport/fhir"
)

// name is what identifies a resource within its tenant.
type name struct{ resourceType, id string }

// version is a row of the table of resources, but for the tenant.
type version struct {
	name
	body     string
	patients []string
	deleted  bool
	// historical, if not 0, is what lastUpdated shall be if the resource is new.
	historical int64

	// Set when it is stored:
	seq         int64
	lastUpdated int64
}

func (v *version) flags() int {
	flags := 0
	if len(v.patients) > 0 {
		flags |= flagPatient
	}
	if v.deleted {
		flags |= flagDeleted
	}
	return flags
}

// parse checks a resource and copies what is stored of it.
func (r *Repository) parse(resource []byte) (version, error) {
	if !utf8.Valid(resource) || !json.Valid(resource) {
		return version{}, fmt.Errorf("%w: not valid JSON", ErrInvalidResource)
	}
	found, err := fhir.Identify(resource)
	if err != nil {
		return version{}, fmt.Errorf("%w: %w", ErrInvalidResource, err)
	}
	if !fhir.IsResourceType(found.Type) {
		return version{}, fmt.Errorf("%w: not of a FHIR R4 type", ErrInvalidResource)
	}
	if !fhir.ValidID(found.ID) {
		return version{}, fmt.Errorf("%w: without a valid id", ErrInvalidResource)
	}
	patients, err := fhir.AppendPatientIDs(nil, resource, r.baseURLs...)
	if err != nil {
		return version{}, fmt.Errorf("%w: %w", ErrInvalidResource, err)
	}
	v := version{name: name{found.Type, found.ID}, body: string(resource), patients: patients}
	if !found.LastUpdated.IsZero() {
		v.historical = found.LastUpdated.UnixMicro()
	}
	return v, nil
}

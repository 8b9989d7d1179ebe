package gormsource

import (
	"encoding/json"
	"fmt"
	"math"
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
	// A Provenance only: what it is about, and when it was recorded.
	targets  []fhir.Reference
	recorded int64
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
	if !r.fhir.IsResourceType(found.Type) {
		return version{}, fmt.Errorf("%w: not of a FHIR type", ErrInvalidResource)
	}
	if !fhir.ValidID(found.ID) {
		return version{}, fmt.Errorf("%w: without a valid id", ErrInvalidResource)
	}
	patients, err := r.fhir.AppendPatientIDs(nil, resource, r.baseURLs...)
	if err != nil {
		return version{}, fmt.Errorf("%w: %w", ErrInvalidResource, err)
	}
	v := version{name: name{found.Type, found.ID}, body: string(resource), patients: patients}
	if v.resourceType == provenanceType {
		if err := v.readProvenance(resource, r.baseURLs); err != nil {
			return version{}, fmt.Errorf("%w: %w", ErrInvalidResource, err)
		}
	}
	if !found.LastUpdated.IsZero() {
		v.historical = found.LastUpdated.UnixMicro()
	}
	return v, nil
}

func (v *version) readProvenance(resource []byte, baseURLs []string) error {
	p, err := fhir.ReadProvenance(resource, baseURLs...)
	v.targets = p.Targets
	v.recorded = math.MinInt64
	if !p.Recorded.IsZero() {
		v.recorded = p.Recorded.UnixMicro()
	}
	return err
}

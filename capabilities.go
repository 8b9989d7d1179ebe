package bulkexport

import (
	"slices"

	"github.com/bulkexport/bulkexport/fhir"
)

// Capabilities are what an exporter can do with the source it has: what a host
// says of it in its CapabilityStatement.
type Capabilities struct {
	// FHIRVersion is the version whose types and compartments count.
	FHIRVersion fhir.Version
	// Levels are the export levels.
	Levels []Level
	// Types are the resource types that are exported, sorted.
	Types []string
	// Parameters are the names of the kick-off parameters that can be honoured
	// at one of the levels at least, sorted.
	Parameters []string
	// Searchable says that _typeFilter takes the search parameters that package
	// search lists.
	Searchable bool
	// Associated are the values of includeAssociatedData, sorted.
	Associated []string
	// OrganizeBy are the types that organizeOutputBy takes, sorted.
	OrganizeBy []string
	// Deletions says that incremental exports list what was deleted.
	Deletions bool
}

// Capabilities returns what this exporter can do. The caller owns it.
func (e *Exporter) Capabilities() Capabilities {
	_, patients := e.cfg.Source.(SourcePatients)
	_, deletions := e.cfg.Source.(SourceDeletions)
	can := Capabilities{
		FHIRVersion: e.cfg.FHIRVersion,
		Levels:      e.levels(),
		Types:       normal(slices.Clone(e.cfg.ResourceTypes)),
		Searchable:  e.searches(),
		Associated:  e.associated(),
		Deletions:   deletions,
	}
	if organizer, ok := e.cfg.Source.(SourceOrganizer); ok {
		can.OrganizeBy = filter(can.Types, organizer.OrganizesBy)
	}
	can.Parameters = []string{paramOutputFormat, paramSince, paramUntil, paramType, paramElements, paramAllowPartial}
	for name, possible := range map[string]bool{
		paramPatient:    patients,
		paramAssociated: len(can.Associated) > 0,
		paramTypeFilter: can.Searchable,
		paramOrganizeBy: len(can.OrganizeBy) > 0,
	} {
		if possible {
			can.Parameters = append(can.Parameters, name)
		}
	}
	slices.Sort(can.Parameters)
	return can
}

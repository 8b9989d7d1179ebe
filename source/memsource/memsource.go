// Package memsource keeps resources in memory: for unit tests of an export
// pipeline, and for hosts small enough to hold all they have.
//
// Nothing is durable, and nothing is shared with other processes. Every version
// ever stored is kept, deletions included, so that an export reads the state at
// its transactionTime whatever is written meanwhile; memory grows with each
// change. The source has all abilities that package bulkexport knows but for
// [bulkexport.SourceSearcher]: searches are judged in memory anyway.
package memsource

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// Config is how to make a [Source]. The zero value is ready.
type Config struct {
	// Now tells the time for last updates, and for the periods of members where a
	// query has no AsOf. Called with a lock held, which readers share: it must
	// not call the source, and be safe for concurrent use. Defaults to time.Now.
	Now func() time.Time
	// BaseURLs are the host's own base URLs. A resource whose absolute reference
	// begins with one of them is in the compartment of the Patient it names.
	// The same holds for members of Groups and targets of Provenance. Defaults to
	// none: only relative references count.
	BaseURLs []string
	// FHIRVersion says what is in a Patient compartment: nothing, if it is not
	// Valid. Defaults to R4.
	FHIRVersion fhir.Version
}

// Source is an in-memory [bulkexport.ResourceSource] with Snapshot consistency.
// All methods are safe for concurrent use.
type Source struct {
	now      func() time.Time
	baseURLs []string
	fhir     fhir.Version

	mu      sync.RWMutex
	clock   clock
	tenants map[string]*tenant
	lastKey uint64
}

// tenant is the data of one tenant.
type tenant struct {
	// types are the versions of each type, in the order of their keys.
	types map[string][]*version
	// history are the versions of each resource, the newest one last.
	history map[fhir.Reference][]*version
	// provenance are the versions of Provenance by their targets.
	provenance map[fhir.Reference][]*version
}

// version is one version of a resource, or its deletion. All but superseded is
// immutable, and read without the lock.
type version struct {
	fhir.Reference
	key     []byte
	json    []byte
	updated time.Time
	// deleted marks a deletion. It has no JSON, but the place in compartments of
	// the version before it.
	deleted bool
	place   place
	// superseded is when another version or a deletion came; zero if none has.
	superseded time.Time
}

// place is where a version stands among others.
type place struct {
	patients []string
	// A Provenance only:
	targets  []fhir.Reference
	recorded time.Time
}

// New returns an empty source.
func New(cfg Config) *Source {
	s := &Source{
		now:      cfg.Now,
		baseURLs: slices.Clone(cfg.BaseURLs),
		fhir:     cfg.FHIRVersion,
		tenants:  make(map[string]*tenant),
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// Put stores a copy of a resource, which supersedes the one of the same type
// and id. It returns the last update that the resource has from then on: the
// time of the call in whole milliseconds, whatever its meta.lastUpdated says.
// What is not valid JSON, or has no resourceType or no valid id, is refused.
func (s *Source) Put(tenantName string, resource []byte) (time.Time, error) {
	if !json.Valid(resource) {
		return time.Time{}, errors.New("memsource: put: resource is not valid JSON")
	}
	name, err := fhir.Identify(resource)
	if err != nil {
		return time.Time{}, fmt.Errorf("memsource: put: %w", err)
	}
	if !fhir.ValidID(name.ID) {
		return time.Time{}, fmt.Errorf("memsource: put: %s has no valid id", name.Type)
	}
	where, err := s.placeOf(name.Type, resource)
	if err != nil {
		return time.Time{}, fmt.Errorf("memsource: put: %w", err)
	}
	v := &version{
		Reference: fhir.Reference{Type: name.Type, ID: name.ID},
		json:      bytes.Clone(resource),
		place:     where,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenantName]
	if t == nil {
		t = newTenant()
		s.tenants[tenantName] = t
	}
	s.add(t, v)
	return v.updated, nil
}

func (s *Source) placeOf(resourceType string, resource []byte) (place, error) {
	patients, err := s.fhir.AppendPatientIDs(nil, resource, s.baseURLs...)
	if err != nil || resourceType != "Provenance" {
		return place{patients: patients}, err
	}
	p, err := fhir.ReadProvenance(resource, s.baseURLs...)
	return place{patients: patients, targets: p.Targets, recorded: p.Recorded}, err
}

// Delete deletes a resource. Absent is fine.
func (s *Source) Delete(tenantName, resourceType, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fhir.Reference{Type: resourceType, ID: id}
	t := s.tenant(tenantName)
	if old := t.last(name, time.Time{}); old != nil && !old.deleted {
		s.add(t, &version{Reference: name, deleted: true, place: old.place})
	}
}

// add stamps a version and makes it the newest one.
func (s *Source) add(t *tenant, v *version) {
	v.updated = s.clock.stamp(s.now())
	s.lastKey++
	v.key = binary.BigEndian.AppendUint64(nil, s.lastKey)
	if old := t.last(v.Reference, time.Time{}); old != nil {
		old.superseded = v.updated
	}
	t.history[v.Reference] = append(t.history[v.Reference], v)
	t.types[v.Type] = append(t.types[v.Type], v)
	if v.deleted {
		return
	}
	for _, target := range v.place.targets {
		t.provenance[target] = append(t.provenance[target], v)
	}
}

func newTenant() *tenant {
	return &tenant{
		types:      make(map[string][]*version),
		history:    make(map[fhir.Reference][]*version),
		provenance: make(map[fhir.Reference][]*version),
	}
}

var (
	_ bulkexport.ResourceSource    = (*Source)(nil)
	_ bulkexport.SourceClock       = (*Source)(nil)
	_ bulkexport.SourceCounter     = (*Source)(nil)
	_ bulkexport.SourceSplitter    = (*Source)(nil)
	_ bulkexport.SourceConsistency = (*Source)(nil)
	_ bulkexport.SourceGroups      = (*Source)(nil)
	_ bulkexport.SourcePatients    = (*Source)(nil)
	_ bulkexport.SourceDeletions   = (*Source)(nil)
	_ bulkexport.SourceLookup      = (*Source)(nil)
	_ bulkexport.SourceProvenance  = (*Source)(nil)
	_ bulkexport.SourceOrganizer   = (*Source)(nil)
)

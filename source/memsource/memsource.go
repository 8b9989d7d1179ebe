// Package memsource keeps resources in memory: for unit tests of an export
// pipeline, and for hosts small enough to hold all they have.
//
// Nothing is durable, and nothing is shared with other processes. Every version
// ever stored is kept, so that an export reads the state at its transactionTime
// whatever is written meanwhile; memory grows with each change.
package memsource

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// Config is how to make a [Source]. The zero value is ready.
type Config struct {
	// Now tells the time for last updates. Called with a lock held: it must not
	// call the source. Defaults to time.Now.
	Now func() time.Time
	// BaseURLs are the host's own base URLs. A resource whose absolute reference
	// begins with one of them is in the compartment of the Patient it names.
	// Defaults to none: only relative references count.
	BaseURLs []string
}

// Source is an in-memory [bulkexport.ResourceSource] with Snapshot consistency.
// All methods are safe for concurrent use.
type Source struct {
	now      func() time.Time
	baseURLs []string

	mu      sync.RWMutex
	clock   clock
	tenants map[string]*tenant
	lastKey uint64
}

// tenant is the data of one tenant.
type tenant struct {
	types map[string][]*version
	// current is the version of each resource that is not superseded.
	current map[resourceID]*version
}

type resourceID struct{ resourceType, id string }

// version is one version of a resource. All but superseded is immutable, and
// read without the lock.
type version struct {
	key     []byte
	json    []byte
	patient bool
	updated time.Time
	// superseded is when another version or a deletion came; zero if none has.
	superseded time.Time
}

// New returns an empty source.
func New(cfg Config) *Source {
	s := &Source{
		now:      cfg.Now,
		baseURLs: slices.Clone(cfg.BaseURLs),
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
	patients, err := fhir.AppendPatientIDs(nil, resource, s.baseURLs...)
	if err != nil {
		return time.Time{}, fmt.Errorf("memsource: put: %w", err)
	}
	v := &version{json: bytes.Clone(resource), patient: len(patients) > 0}

	s.mu.Lock()
	defer s.mu.Unlock()
	v.updated = s.clock.stamp(s.now())
	s.lastKey++
	v.key = binary.BigEndian.AppendUint64(nil, s.lastKey)
	s.add(tenantName, resourceID{name.Type, name.ID}, v)
	return v.updated, nil
}

func (s *Source) add(tenantName string, id resourceID, v *version) {
	t := s.tenants[tenantName]
	if t == nil {
		t = &tenant{types: make(map[string][]*version), current: make(map[resourceID]*version)}
		s.tenants[tenantName] = t
	}
	if old := t.current[id]; old != nil {
		old.superseded = v.updated
	}
	t.current[id] = v
	t.types[id.resourceType] = append(t.types[id.resourceType], v)
}

// Delete deletes a resource. Absent is fine.
func (s *Source) Delete(tenantName, resourceType, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenantName]
	if t == nil {
		return
	}
	name := resourceID{resourceType, id}
	if old := t.current[name]; old != nil {
		old.superseded = s.clock.stamp(s.now())
		delete(t.current, name)
	}
}

// Load puts the resources of an NDJSON stream, one a line, until its end or
// the first error, and returns how many it put. Lines may be of any length;
// blank ones are passed over.
func (s *Source) Load(ctx context.Context, tenantName string, r io.Reader) (int, error) {
	lines := bufio.NewReader(r)
	count := 0
	for number := 1; ; number++ {
		if err := ctx.Err(); err != nil {
			return count, fmt.Errorf("memsource: load: %w", err)
		}
		line, readErr := lines.ReadBytes('\n')
		if readErr != nil && readErr != io.EOF {
			return count, fmt.Errorf("memsource: load: line %d: %w", number, readErr)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if _, err := s.Put(tenantName, line); err != nil {
				return count, fmt.Errorf("memsource: load: line %d: %w", number, err)
			}
			count++
		}
		if readErr == io.EOF {
			return count, nil
		}
	}
}

// clock hands out times in whole milliseconds, none of which goes back. Since
// the exporter rounds transactionTime down to milliseconds, nothing finer would
// do: what was put just before a kick-off would be missing from the export.
type clock struct {
	last time.Time
	// cut is the last transactionTime. No change may be stamped so early.
	cut time.Time
}

func (c *clock) stamp(now time.Time) time.Time {
	c.advance(now)
	if !c.last.After(c.cut) {
		c.last = c.cut.Add(time.Millisecond)
	}
	return c.last
}

func (c *clock) transactionTime(now time.Time) time.Time {
	c.advance(now)
	c.cut = c.last
	return c.cut
}

func (c *clock) advance(now time.Time) {
	if now = now.UTC().Truncate(time.Millisecond); now.After(c.last) {
		c.last = now
	}
}

var (
	_ bulkexport.ResourceSource    = (*Source)(nil)
	_ bulkexport.SourceClock       = (*Source)(nil)
	_ bulkexport.SourceCounter     = (*Source)(nil)
	_ bulkexport.SourceSplitter    = (*Source)(nil)
	_ bulkexport.SourceConsistency = (*Source)(nil)
)

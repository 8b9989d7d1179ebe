package faulttest_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// run runs a harness at a stride, or, with BULKEXPORT_FAULTS=n in the
// environment, at every call and with n random schedules.
func run(t *testing.T, h faulttest.Harness, stride, schedules int) {
	t.Helper()
	h.Every, h.Schedules = stride*slowdown, schedules/slowdown
	if n, err := strconv.Atoi(os.Getenv("BULKEXPORT_FAULTS")); err == nil {
		h.Every, h.Schedules, h.Seed = 1, n, uint64(time.Now().UnixNano())
		t.Logf("seed %d", h.Seed)
	}
	faulttest.Run(t, h)
}

func TestMemory(t *testing.T) {
	t.Parallel()
	run(t, representative(), 1, 200)
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	h := representative()
	h.Expire = true
	run(t, h, 7, 50)
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	h := representative()
	h.Request.Associated = []string{bulkexport.LatestProvenance}
	run(t, h, 7, 50)
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	h := representative()
	h.Request = bulkexport.ExportRequest{Level: bulkexport.LevelPatient, OrganizeBy: "Patient"}
	run(t, h, 7, 50)
}

func TestGroup(t *testing.T) {
	t.Parallel()
	h := representative()
	h.Request = bulkexport.ExportRequest{Level: bulkexport.LevelGroup, Group: "g"}
	h.Request.Patients = bulkexport.PatientSet{Limited: true, IDs: []string{"p0", "p2"}}
	h.Change = nil // what changes is about others
	run(t, h, 7, 50)
}

func TestPartialManifests(t *testing.T) {
	t.Parallel()
	h := representative()
	h.Open = plainMemory // an error that comes late fails such an export
	h.Request.AllowPartial = true
	h.Config.ManifestFiles = 2
	run(t, h, 5, 100)
}

// TestGzip stores files as gzip, and has the client inflate them.
func TestGzip(t *testing.T) {
	t.Parallel()
	h := representative()
	h.Config.GzipLevel = 1
	run(t, h, 7, 50)
}

func TestDeletions(t *testing.T) {
	t.Parallel()
	h := representative()
	h.Open = func(t *testing.T) faulttest.Parts {
		t.Helper()
		parts := inMemory(t)
		source := parts.Source.(*memsource.Source)
		var err error
		h.Request.Since, err = source.TransactionTime(t.Context(), alice.Tenant)
		require.NoError(t, err)
		_, err = source.Put(alice.Tenant, []byte(`{"resourceType":"Patient","id":"new","name":"`+marker+`"}`))
		require.NoError(t, err)
		for i := range 6 {
			source.Delete(alice.Tenant, "Observation", fmt.Sprintf("o%d", i))
		}
		return parts
	}
	h.Open(t) // Request.Since is taken before Open is called for the first time
	run(t, h, 7, 50)
}

// TestLittleSource has a source without any ability.
func TestLittleSource(t *testing.T) {
	t.Parallel()
	run(t, faulttest.Harness{
		Open: func(*testing.T) faulttest.Parts {
			return faulttest.Parts{Source: list{"Patient": 9, "Location": 1}, Store: memstore.New(), Sink: memsink.New()}
		},
		Request: bulkexport.ExportRequest{
			Level: bulkexport.LevelSystem, Types: []string{"Location", "Observation", "Patient"},
		},
		Config: bulkexport.Config{MaxFileResources: 4},
		Marker: marker,
	}, 5, 50)
}

// list has so many resources of each type.
type list map[string]int

func (l list) Types(context.Context, bulkexport.Scope) ([]string, error) {
	return []string{"Patient", "Location"}, nil
}

func (l list) Resources(_ context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		for i := range l[q.Type] {
			r := bulkexport.Resource{
				Key:  []byte{byte(i + 1)},
				JSON: fmt.Appendf(nil, `{"resourceType":%q,"id":"%d","text":%q}`, q.Type, i, marker),
			}
			if bytes.Compare(r.Key, q.After) > 0 && !yield(r, nil) {
				return
			}
		}
	}
}

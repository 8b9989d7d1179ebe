package faulttest_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// marker stands for protected health information.
const marker = "Szczepański"

var alice = bulkexport.Access{Caller: bulkexport.Caller{Tenant: "north", Client: "alice"}}

// put stores a resource in any of the sources.
type put func(resource string) error

// fill puts what an export has: several types, of which some need several files.
func fill(t *testing.T, put put) {
	t.Helper()
	resource := func(name, id, members string) {
		t.Helper()
		require.NoError(t, put(fmt.Sprintf(`{"resourceType":%q,"id":%q,%s}`, name, id, members)))
	}
	for i := range 5 {
		resource("Patient", fmt.Sprintf("p%d", i), fmt.Sprintf(`"name":[{"family":%q}]`, marker))
	}
	resource("Group", "g", `"type":"person","actual":true,"member":[`+
		`{"entity":{"reference":"Patient/p0"}},{"entity":{"reference":"Patient/p2"}},{"entity":{"reference":"Patient/p3"}}]`)
	for i := range 11 {
		resource("Observation", fmt.Sprintf("o%d", i),
			fmt.Sprintf(`"subject":{"reference":"Patient/p%d"},"valueString":%q`, i%5, marker))
	}
	resource("Location", "l", `"name":"ward"`)
	for i := range 4 {
		resource("Provenance", fmt.Sprintf("v%d", i), fmt.Sprintf(
			`"recorded":"2020-01-0%dT00:00:00Z","target":[{"reference":"Observation/o%d"}]`, i+1, i/2))
	}
}

// inMemory makes memory parts with the data of fill and a resource that cannot
// be exported.
func inMemory(t *testing.T) faulttest.Parts {
	t.Helper()
	parts := plainMemory(t)
	_, err := parts.Source.(*memsource.Source).Put(alice.Tenant,
		[]byte("{\"resourceType\":\"Observation\",\"id\":\"poison\",\"valueString\":\""+marker+"\xff\"}"))
	require.NoError(t, err)
	return parts
}

func plainMemory(t *testing.T) faulttest.Parts {
	t.Helper()
	source := memsource.New(memsource.Config{})
	fill(t, func(resource string) error {
		_, err := source.Put(alice.Tenant, []byte(resource))
		return err
	})
	return faulttest.Parts{Source: source, Store: memstore.New(), Sink: memsink.New()}
}

// changes returns a writer that adds, changes and deletes.
func changes() func(context.Context, faulttest.Parts) error {
	var n atomic.Int64
	return func(_ context.Context, parts faulttest.Parts) error {
		source := parts.Source.(*memsource.Source)
		resource := fmt.Appendf(nil, `{"resourceType":"Patient","id":"p1","name":[{"family":"%d"}]}`, n.Add(1))
		_, err := source.Put(alice.Tenant, resource)
		source.Delete(alice.Tenant, "Observation", fmt.Sprintf("o%d", n.Load()))
		return err
	}
}

func dropSome(_ context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
	if bytes.Contains(resource, []byte(`"id":"o3"`)) {
		return nil, nil
	}
	return resource, nil
}

func representative() faulttest.Harness {
	return faulttest.Harness{
		Open:    inMemory,
		Change:  changes(),
		Request: bulkexport.ExportRequest{Level: bulkexport.LevelSystem},
		Access:  alice,
		// Parts have up to five resources, and files about two: a part is begun and
		// gone on with.
		Config: bulkexport.Config{MaxFileResources: 5, MaxFileBytes: 250, Filter: dropSome},
		Marker: marker,
	}
}

// spoilOne makes a resource of one that is none, where a source has none such.
func spoilOne(ctx context.Context, job bulkexport.Job, name string, resource []byte) ([]byte, error) {
	if bytes.Contains(resource, []byte(`"id":"o7"`)) {
		return resource[1:], nil
	}
	return dropSome(ctx, job, name, resource)
}

package search_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
	"github.com/bulkexport/bulkexport/internal/synthetic"
)

var options = search.Options{Now: now, BaseURLs: []string{ownBase + "/"}}

// sample is a resource as the package and as the oracle read it.
type sample struct {
	raw     []byte
	decoded any
}

func newSample(tb testing.TB, raw []byte) sample {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	s := sample{raw: bytes.Clone(raw)}
	require.NoError(tb, d.Decode(&s.decoded))
	return s
}

// agree generates queries on resources of one type, and demands that package
// and oracle judge each resource the same. It returns the numbers of
// judgements and of matches.
func agree(t *testing.T, o *oracle, m *maker, samples []sample, queries int) (judged, met int) {
	t.Helper()
	resourceType := o.resource(samples[0].decoded).path
	parameters := search.Parameters(resourceType)
	for range queries {
		q := query{resourceType: resourceType}
		for range 1 + m.IntN(3) {
			from := o.resource(pick(m.Rand, samples).decoded)
			if c, ok := m.criterion(o, from, pick(m.Rand, parameters).Name); ok {
				q.criteria = append(q.criteria, c)
			}
		}
		f, err := search.Compile(q.String(), options)
		require.NoError(t, err, q.String())
		again, err := search.Compile(f.String(), options)
		require.NoError(t, err, f.String())
		require.Equal(t, f.String(), again.String())
		for _, s := range samples {
			want := o.matches(s.decoded, q)
			got, err := f.Match(s.raw)
			require.NoError(t, err)
			require.Equal(t, want, got, "%s\n%s", q, s.raw)
			judged++
			if got {
				met++
			}
		}
	}
	return judged, met
}

func TestOracleAgreesOnEveryParameter(t *testing.T) {
	t.Parallel()
	o := newOracle(t)
	m := newMaker(o, 7)
	judged, met := 0, 0
	for _, resourceType := range fhir.R4.ResourceTypes() {
		var samples []sample
		for range 6 {
			raw, err := json.Marshal(m.resource(resourceType))
			require.NoError(t, err)
			samples = append(samples, newSample(t, raw))
		}
		// About one query for each parameter.
		j, n := agree(t, o, m, samples, len(search.Parameters(resourceType)))
		judged, met = judged+j, met+n
	}
	t.Logf("%d judgements, %d matches", judged, met)
	require.Greater(t, met, judged/10, "queries that never match prove little")
}

func TestOracleAgreesOnSyntheticRecords(t *testing.T) {
	t.Parallel()
	byType := map[string][]sample{}
	for raw := range synthetic.Resources(3) {
		id, err := fhir.Identify(raw)
		require.NoError(t, err)
		if len(byType[id.Type]) < 40 {
			byType[id.Type] = append(byType[id.Type], newSample(t, raw))
		}
	}
	agreeOnAll(t, byType, 30)
}

// TestOracleAgreesOnFiles takes the NDJSON files of any export.
func TestOracleAgreesOnFiles(t *testing.T) {
	t.Parallel()
	folder := os.Getenv("BULKEXPORT_DATA")
	if folder == "" {
		t.Skip("BULKEXPORT_DATA names no folder with NDJSON files")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.ndjson"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	byType := map[string][]sample{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, len(data)+1)
		for lines.Scan() && len(byType[file]) < 200 {
			byType[file] = append(byType[file], newSample(t, lines.Bytes()))
		}
	}
	agreeOnAll(t, byType, 40)
}

func agreeOnAll(t *testing.T, byType map[string][]sample, queries int) {
	t.Helper()
	o := newOracle(t)
	judged, met := 0, 0
	for _, samples := range byType {
		j, n := agree(t, o, newMaker(o, 11), samples, queries)
		judged, met = judged+j, met+n
	}
	t.Logf("%d judgements, %d matches", judged, met)
	require.Greater(t, met, judged/10, "queries that never match prove little")
}

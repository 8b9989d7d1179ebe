package synthetic_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/synthetic"
)

const patients = 100

func TestWriteIsDeterministic(t *testing.T) {
	t.Parallel()
	first, second := sha256.New(), sha256.New()
	require.NoError(t, synthetic.Write(first, patients))
	require.NoError(t, synthetic.Write(second, patients))
	require.Equal(t, first.Sum(nil), second.Sum(nil))
}

func TestLargerPopulationBeginsWithSmaller(t *testing.T) {
	t.Parallel()
	var small, large bytes.Buffer
	require.NoError(t, synthetic.Write(&small, 5))
	require.NoError(t, synthetic.Write(&large, 8))
	require.Greater(t, large.Len(), small.Len())
	require.Equal(t, small.String(), large.String()[:small.Len()])
}

func TestResourcesYieldsWhatWriteWrites(t *testing.T) {
	t.Parallel()
	var written, yielded bytes.Buffer
	require.NoError(t, synthetic.Write(&written, 5))
	for resource := range synthetic.Resources(5) {
		yielded.Write(resource)
		yielded.WriteByte('\n')
	}
	require.Equal(t, written.String(), yielded.String())
}

func TestResourcesStopsWhenTheConsumerStops(t *testing.T) {
	t.Parallel()
	seen := 0
	for range synthetic.Resources(1_000_000_000) {
		if seen++; seen == 100 {
			break
		}
	}
	require.Equal(t, 100, seen)
}

func TestWriteReportsTheWritersError(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, synthetic.Write(brokenWriter{}, 1), errBroken)
}

var errBroken = errors.New("broken")

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// record is what every resource has.
type record struct {
	ResourceType string `json:"resourceType"`
	ID           string `json:"id"`
	Meta         struct {
		LastUpdated time.Time `json:"lastUpdated"`
	} `json:"meta"`
}

func TestRecordsHangTogether(t *testing.T) {
	t.Parallel()
	reference := regexp.MustCompile(`"reference":"([^"]+)"`)
	known, mentioned := map[string]bool{}, map[string]bool{}
	years := map[int]bool{}
	for resource := range synthetic.Resources(patients) {
		var r record
		require.NoError(t, json.Unmarshal(resource, &r), "%s", resource)
		name := r.ResourceType + "/" + r.ID
		if r.ResourceType != "Group" {
			require.Len(t, r.ID, 36, "%s", resource)
		}
		require.False(t, known[name], "%s comes twice", name)
		known[name] = true
		years[r.Meta.LastUpdated.Year()] = true
		for _, found := range reference.FindAllSubmatch(resource, -1) {
			mentioned[string(found[1])] = true
		}
		require.NotContains(t, string(resource), `""`, "an empty value: a gap that nobody filled")
		require.NotContains(t, string(resource), `{}`)
		require.NotContains(t, string(resource), "\n")
	}
	for name := range mentioned {
		require.True(t, known[name], "nothing is named %s", name)
	}
	require.Len(t, years, 8, "2018 to 2025")
}

func TestRecordsAreVariedAndOfOrdinarySize(t *testing.T) {
	t.Parallel()
	count, size := map[string]int{}, 0
	total := 0
	for resource := range synthetic.Resources(patients) {
		name, _, _ := strings.Cut(strings.TrimPrefix(string(resource), `{"resourceType":"`), `"`)
		count[name]++
		total++
		size += len(resource)
	}
	require.Equal(t, patients, count["Patient"])
	for _, name := range []string{
		"AllergyIntolerance", "AuditEvent", "Condition", "DiagnosticReport", "Encounter", "Group", "Immunization",
		"Location", "MedicationRequest", "Observation", "Organization", "Practitioner", "Procedure",
	} {
		require.Positive(t, count[name], name)
	}
	require.InDelta(t, 1400, size/total, 100, "bytes per resource")
	require.InDelta(t, 45, total/patients, 5, "resources per patient")
}

func BenchmarkWrite(b *testing.B) {
	var size countingWriter
	for b.Loop() {
		size = 0
		if err := synthetic.Write(&size, 1000); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(size))
}

type countingWriter int64

func (w *countingWriter) Write(p []byte) (int, error) {
	*w += countingWriter(len(p))
	return len(p), nil
}

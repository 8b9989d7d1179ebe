package search_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
	"github.com/bulkexport/bulkexport/internal/synthetic"
)

func BenchmarkMatch(b *testing.B) {
	observations, bytes := observationsOf(b, 20)
	for name, query := range map[string]string{
		"status":               "Observation?status=final",
		"code":                 "Observation?code=http://loinc.org|8302-2",
		"date":                 "Observation?date=ge2024-01-01",
		"status-code-date":     "Observation?status=final&code=http://loinc.org|8302-2&date=ge2024-01-01",
		"patient":              "Observation?patient=Patient/unknown",
		"value-quantity":       "Observation?value-quantity=gt100||mg/dL",
		"text":                 "Observation?code:text=systolic",
		"component-code-value": "Observation?component-code-value-quantity=http://loinc.org|8480-6$gt130",
		"code-value":           "Observation?code-value-quantity=http://loinc.org|8302-2$gt170",
	} {
		b.Run(name, func(b *testing.B) {
			f, err := search.Compile(query, search.Options{})
			require.NoError(b, err)
			b.SetBytes(int64(bytes / len(observations)))
			b.ReportAllocs()
			met, i := 0, 0
			for b.Loop() {
				ok, err := f.Match(observations[i%len(observations)])
				if err != nil {
					b.Fatal(err)
				}
				if ok {
					met++
				}
				i++
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(i), "ns/resource")
			b.ReportMetric(100*float64(met)/float64(i), "%met")
		})
	}
}

func observationsOf(b *testing.B, patients int) (observations [][]byte, total int) {
	b.Helper()
	for raw := range synthetic.Resources(patients) {
		if id, err := fhir.Identify(raw); err == nil && id.Type == "Observation" {
			observations = append(observations, append([]byte(nil), raw...))
			total += len(raw)
		}
	}
	return observations, total
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, err := search.Compile("Observation?status=final&code=http://loinc.org|8302-2&date=ge2024-01-01", search.Options{})
		if err != nil {
			b.Fatal(err)
		}
	}
}

package bulkexport_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func TestManifestForms(t *testing.T) {
	t.Parallel()
	manifest := bulkexport.Manifest{
		TransactionTime:     time.Date(2026, 3, 7, 11, 42, 10, 318_999_999, time.FixedZone("", 3600)),
		Request:             "http://x/fhir/$export?_type=Patient&_since=y",
		RequiresAccessToken: true,
		OutputOrganizedBy:   "Patient",
		Output: []bulkexport.ManifestFile{
			{URL: "http://x/1", Count: 3, ContinuesInFile: "http://x/2", Size: 9, SHA256: "ab"},
			{Type: "Basic", URL: "http://x/2", Count: 1},
		},
		Deleted: []bulkexport.ManifestFile{{Type: "Bundle", URL: "http://x/3", Count: 1}},
		Error: []bulkexport.ManifestFile{
			{Type: "OperationOutcome", URL: "http://x/4", Count: 2, Severities: map[string]int64{"error": 1, "warning": 1}},
		},
		Next: "http://x/page",
		Extension: bulkexport.ManifestExtension{
			Consistency: bulkexport.Bounded, EmptyTypes: []string{"Account"}, Dropped: 4,
		},
	}
	const base = "https://github.com/bulkexport/bulkexport/manifest/"
	for guide, want := range map[bulkexport.Guide]string{
		bulkexport.STU3: `{
			"transactionTime": "2026-03-07T10:42:10.318Z",
			"request": "http://x/fhir/$export?_type=Patient&_since=y",
			"requiresAccessToken": true,
			"outputOrganizedBy": "Patient",
			"output": [
				{"url": "http://x/1", "count": 3, "continuesInFile": "http://x/2",
					"extension": {"` + base + `sha256": "ab", "` + base + `size": 9}},
				{"type": "Basic", "url": "http://x/2", "count": 1}],
			"deleted": [{"type": "Bundle", "url": "http://x/3", "count": 1}],
			"error": [{"type": "OperationOutcome", "url": "http://x/4", "count": 2,
				"extension": {"` + base + `severities": {"error": 1, "warning": 1}}}],
			"link": [{"relation": "next", "url": "http://x/page"}],
			"extension": {"` + base + `consistency": "bounded", "` + base + `empty-types": ["Account"],
				"` + base + `dropped": 4}}`,
		bulkexport.STU4Ballot: `{
			"manifestType": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest",
			"transactionTime": "2026-03-07T10:42:10.318Z",
			"requiresAccessToken": true,
			"outputFormat": "application/fhir+ndjson",
			"outputOrganizedBy": "Patient",
			"output": [
				{"url": "http://x/1", "count": 3, "continuesInFile": "http://x/2", "fileSize": 9,
					"extension": [{"url": "` + base + `sha256", "valueString": "ab"}]},
				{"type": "Basic", "url": "http://x/2", "count": 1}],
			"deleted": [{"url": "http://x/3", "count": 1}],
			"outcome": [{"url": "http://x/4", "count": 2,
				"countSeverity": [{"code": "error", "count": 1}, {"code": "warning", "count": 1}]}],
			"link": [{"relation": "next", "url": "http://x/page"}],
			"extension": [{"url": "` + base + `consistency", "valueCode": "bounded"},
				{"url": "` + base + `empty-types", "valueCode": "Account"}, {"url": "` + base + `dropped", "valueDecimal": 4}]}`,
	} {
		manifest.Guide = guide
		got, err := json.Marshal(manifest)
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}

	for guide, want := range map[bulkexport.Guide]string{
		bulkexport.STU3: `{"transactionTime": "0001-01-01T00:00:00.000Z", "request": "", "requiresAccessToken": false,
			"output": [], "error": []}`,
		bulkexport.STU4Ballot: `{"manifestType": "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest",
			"transactionTime": "0001-01-01T00:00:00.000Z", "requiresAccessToken": false,
			"outputFormat": "application/fhir+ndjson"}`,
	} {
		got, err := json.Marshal(bulkexport.Manifest{Guide: guide})
		require.NoError(t, err)
		require.JSONEq(t, want, string(got))
	}
}

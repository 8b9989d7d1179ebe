package bulkexport_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func TestParseRequest(t *testing.T) {
	t.Parallel()
	instant := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return parsed.UTC()
	}
	for query, want := range map[string]bulkexport.ExportRequest{
		"":              {},
		"_type=Patient": {Types: []string{"Patient"}},
		"_type=Patient,Observation&_type=Condition,Patient": {Types: []string{"Condition", "Observation", "Patient"}},
		"_type=Patient%2CObservation":                       {Types: []string{"Observation", "Patient"}},
		"_since=2026-01-31T08:00:00Z":                       {Since: instant("2026-01-31T08:00:00Z")},
		"_since=2026-01-31T08:00:00.123456%2B02:00":         {Since: instant("2026-01-31T06:00:00.123456Z")},
		"_since=2026-01-31T08:00:00+02:00":                  {Since: instant("2026-01-31T06:00:00Z")},
		"_since=2026-01-31T08:00:00-11:30":                  {Since: instant("2026-01-31T19:30:00Z")},
		"_outputFormat=ndjson":                              {},
		"_outputFormat=application/ndjson":                  {},
		"_outputFormat=application/fhir%2Bndjson":           {},
		"_outputFormat=application/fhir+ndjson":             {},
		"_until=2026-01-31T08:00:00Z":                       {Until: instant("2026-01-31T08:00:00Z")},
		"_elements=Patient.name,id&_elements=id":            {Elements: []string{"Patient.name", "id"}},
		"organizeOutputBy=Patient":                          {OrganizeBy: "Patient"},
		"_outputFormat=Application/FHIR%2BNDJSON":           {},
		"_since=2016-12-31T23:59:60Z":                       {Since: instant("2017-01-01T00:00:00Z")},
		"allowPartialManifests=true":                        {AllowPartial: true},
		"allowPartialManifests=false":                       {},
		"includeAssociatedData=RelevantProvenanceResources,_x": {
			Associated: []string{"RelevantProvenanceResources", "_x"}},
		"_typeFilter=Patient%3Factive%3Dtrue%26gender%3Dmale&_typeFilter=Condition%3Fcode%3Da%252Cb": {
			TypeFilters: []string{"Patient?active=true&gender=male", "Condition?code=a%2Cb"}},
		"_format=json&_pretty=true":     {},
		"_format=application/fhir+json": {},
	} {
		params, err := url.ParseQuery(query)
		require.NoError(t, err)
		got, err := bulkexport.ParseRequest(bulkexport.Parameters{
			Level: bulkexport.LevelPatient, URL: "http://host/x?" + query, Values: params,
		})
		require.NoError(t, err, query)
		want.Level, want.URL = bulkexport.LevelPatient, "http://host/x?"+query
		require.Equal(t, want, got, query)
	}
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	for query, want := range map[string][2]string{ // parameter and code
		"_type=":                                            {"_type", "value"},
		"_type=Patient,,Observation":                        {"_type", "value"},
		"_type=Patient,":                                    {"_type", "value"},
		"_type=patient":                                     {"_type", "not-supported"},
		"_type=NoSuchType":                                  {"_type", "not-supported"},
		"_type=Patient%20":                                  {"_type", "not-supported"},
		"_type=Resource":                                    {"_type", "not-supported"},
		"_since=":                                           {"_since", "value"},
		"_since=2026":                                       {"_since", "value"},
		"_since=2026-01-31":                                 {"_since", "value"},
		"_since=2026-01-31T08:00Z":                          {"_since", "value"},
		"_since=2026-01-31T08:00:00":                        {"_since", "value"},
		"_since=2026-02-30T08:00:00Z":                       {"_since", "value"},
		"_since=2026-01-31T25:00:00Z":                       {"_since", "value"},
		"_since=2026-01-31t08:00:00z":                       {"_since", "value"},
		"_since=2026-01-31T08:00:00,5Z":                     {"_since", "value"},
		"_since=yesterday":                                  {"_since", "value"},
		"_until=0001-01-01T00:00:00Z":                       {"_until", "value"},
		"_since=0000-12-31T23:00:00Z":                       {"_since", "value"},
		"_until=9999-12-31T23:59:59-01:00":                  {"_until", "value"},
		"_since=2026-01-31T08:00:00Z&_since=x":              {"_since", "structure"},
		"_outputFormat=":                                    {"_outputFormat", "not-supported"},
		"_outputFormat=text/csv":                            {"_outputFormat", "not-supported"},
		"_outputFormat=ndjson&_outputFormat=ndjson":         {"_outputFormat", "structure"},
		"_until=2026":                                       {"_until", "value"},
		"_elements=":                                        {"_elements", "value"},
		"_elements=id,,meta":                                {"_elements", "value"},
		"includeAssociatedData=,":                           {"includeAssociatedData", "value"},
		"allowPartialManifests=yes":                         {"allowPartialManifests", "value"},
		"allowPartialManifests=":                            {"allowPartialManifests", "value"},
		"organizeOutputBy=Patient&organizeOutputBy=Patient": {"organizeOutputBy", "structure"},
		"organizeOutputBy=":                                 {"organizeOutputBy", "value"},
		"_since=2016-12-31T23:60:00Z":                       {"_since", "value"},
		"_since=2016-12-31T23:59:61Z":                       {"_since", "value"},
		"patient=Patient/1":                                 {"patient", "not-supported"},
		"_format=xml":                                       {"_format", "not-supported"},
		"_pretty=2":                                         {"_pretty", "value"},
		"_Type=Patient":                                     {"_Type", "not-supported"},
		"x=1":                                               {"x", "not-supported"},
	} {
		params, err := url.ParseQuery(query)
		require.NoError(t, err)
		_, err = bulkexport.ParseRequest(bulkexport.Parameters{Level: bulkexport.LevelSystem, URL: "", Values: params})
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault, query)
		require.Equal(t, want, [2]string{fault.Parameter, fault.Code}, query)
		require.NotEmpty(t, fault.Reason)
	}
}

func TestParseRequestReportsAllFaults(t *testing.T) {
	t.Parallel()
	_, err := bulkexport.ParseRequest(bulkexport.Parameters{Level: bulkexport.LevelSystem, Values: url.Values{
		"_since": {"x"}, "_type": {"Nope"}, "_elements": {"id,"},
	}})
	text := err.Error()
	require.Less(t, strings.Index(text, "_elements"), strings.Index(text, "_since"))
	require.Less(t, strings.Index(text, "_since"), strings.Index(text, "_type"))
}

func FuzzParseRequest(f *testing.F) {
	f.Add("_type=Patient,Observation&_since=2026-01-31T08:00:00Z&_outputFormat=ndjson")
	f.Add("_since=2026-01-31T08:00:00+02:00&_type=")
	f.Add("_type=\xff%00,Patient")
	f.Fuzz(func(t *testing.T, query string) {
		params, err := url.ParseQuery(query)
		if err != nil {
			t.Skip()
		}
		req, err := bulkexport.ParseRequest(bulkexport.Parameters{Level: bulkexport.LevelSystem, URL: query, Values: params})
		if err != nil {
			var fault *bulkexport.RequestError
			if !errors.As(err, &fault) || fault.Parameter == "" && !params.Has("") {
				t.Fatalf("%q: no parameter is blamed by %v", query, err)
			}
			return
		}
		// What was accepted means the same when it is written out again.
		again := url.Values{}
		if req.Types != nil {
			again.Set("_type", strings.Join(req.Types, ","))
		}
		if !req.Since.IsZero() {
			again.Set("_since", req.Since.Format(time.RFC3339Nano))
		}
		same, err := bulkexport.ParseRequest(bulkexport.Parameters{Level: bulkexport.LevelSystem, URL: query, Values: again})
		if err != nil || !same.Since.Equal(req.Since) || strings.Join(same.Types, ",") != strings.Join(req.Types, ",") {
			t.Fatalf("%q: %+v, then %+v, %v", query, req, same, err)
		}
	})
}

// TestLenientListsStayLists: what is left of a list of types or patients still
// limits, also if nothing is left, and where the parameter itself cannot be.
func TestLenientListsStayLists(t *testing.T) {
	t.Parallel()
	for query, parameter := range map[string]string{
		"_type=": "_type", "_type=,": "_type", "_type=Nonsense": "_type", "patient=Patient/a": "patient",
	} {
		params, err := url.ParseQuery(query)
		require.NoError(t, err)
		_, err = bulkexport.ParseRequest(bulkexport.Parameters{
			Level: bulkexport.LevelPatient, Values: params, Lenient: true,
		})
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault, query)
		require.Equal(t, parameter, fault.Parameter)
	}
}

// TestParseRequestTakesTextOnly: stores take UTF-8 without NUL.
func TestParseRequestTakesTextOnly(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"x%00=1", "x%ff=1", "_typeFilter=Patient%3Fname%3D%00", "_elements=%ff"} {
		params, err := url.ParseQuery(query)
		require.NoError(t, err)
		_, err = bulkexport.ParseRequest(bulkexport.Parameters{
			Level: bulkexport.LevelPatient, Values: params, Lenient: true,
		})
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault, query)
		require.Equal(t, "value", fault.Code)
	}
}

func TestWhatIsIgnoredBeyondTheReportIsSaid(t *testing.T) {
	t.Parallel()
	params := url.Values{}
	for i := range 150 {
		params.Set(fmt.Sprintf("x%03d", i), "1")
	}
	req, err := bulkexport.ParseRequest(bulkexport.Parameters{
		Level: bulkexport.LevelPatient, Values: params, Lenient: true,
	})
	require.NoError(t, err)
	require.Len(t, req.Ignored, 101)
	require.Contains(t, req.Ignored[100].Reason, "not listed")
}

func TestCapabilitiesNameTheVersion(t *testing.T) {
	t.Parallel()
	k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
	can := k.exporter.Capabilities()
	require.Equal(t, fhir.R4, can.FHIRVersion)
	require.True(t, can.Searchable)
	k.open(bulkexport.Config{Source: newListSource(nil), FHIRVersion: fhir.R5})
	require.False(t, k.exporter.Capabilities().Searchable)
}

// TestListsAreBounded: what is checked item by item must not keep a processor
// busy for minutes.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
	var items []string
	for i := range 1001 {
		items = append(items, fmt.Sprintf("Patient?_id=%d", i))
	}
	for _, req := range []bulkexport.ExportRequest{
		{Elements: items}, {TypeFilters: items},
		{TypeFilters: []string{"Patient?_id=" + strings.Repeat("a,", 40_000)}},
	} {
		parameter := "_typeFilter"
		if req.Elements != nil {
			parameter = "_elements"
		}
		req.Level, req.Lenient = bulkexport.LevelSystem, true
		_, err := k.exporter.KickOff(t.Context(), alice, req)
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault)
		require.Equal(t, [2]string{parameter, "too-costly"}, [2]string{fault.Parameter, fault.Code})
	}
	_, err := bulkexport.ParseRequest(bulkexport.Parameters{
		Level: bulkexport.LevelSystem, Values: url.Values{"_type": {strings.Repeat("Patient,", 1001)}},
	})
	require.ErrorContains(t, err, "more than 1000 items")
}

// TestOwnTransactionTimeIsNotTheFuture has the clock put right that was ahead by an hour.
func TestOwnTransactionTimeIsNotTheFuture(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ahead := time.Hour
		now := func() time.Time { return time.Now().Add(ahead) }
		source := memsource.New(memsource.Config{Now: now})
		k := newKit(t, bulkexport.Config{Source: source, Now: now})
		k.start()
		last := k.wait(k.kickOff()).Job.TransactionTime
		k.stop()

		ahead = 0
		k.open(bulkexport.Config{Source: source, Now: now})
		since := func(at time.Time) error {
			_, err := k.exporter.KickOff(t.Context(), alice,
				bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Since: at})
			return err
		}
		require.NoError(t, since(last))
		require.ErrorContains(t, since(last.Add(time.Hour)), "the instant is in the future")
	})
}

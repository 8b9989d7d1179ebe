package httpadapter_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Source: wards(t, "")}})
	for _, test := range []struct {
		target string
		level  bulkexport.Level
		group  string
	}{
		{"/fhir/$export", bulkexport.LevelSystem, ""},
		{"/fhir/%24export", bulkexport.LevelSystem, ""},
		{"/fhir/Patient/$export", bulkexport.LevelPatient, ""},
		{"/fhir/Patient/%24export", bulkexport.LevelPatient, ""},
		{"/fhir/Group/ward/$export", bulkexport.LevelGroup, "ward"},
		{"/fhir/Group/ward/%24export", bulkexport.LevelGroup, "ward"},
		{"/fhir/Group/empty/$export", bulkexport.LevelGroup, "empty"},
	} {
		for _, method := range []string{"GET", "POST"} {
			for _, query := range []string{"", "?_type=Patient&_since=2026-01-01T00:00:00Z"} {
				req := k.accepted(k.do(method, test.target+query))
				require.Equal(t, test.level, req.Level, test.target)
				require.Equal(t, test.group, req.Group, test.target)
				require.Equal(t, k.base+test.target+query, req.URL)
				require.Equal(t, query != "", req.Types != nil)
			}
		}
	}
}

// TestGroupFlow exports a Group that has one of two patients, one that has none,
// and single patients of it.
func TestGroupFlow(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Source: wards(t, ""), Now: time.Now}})
	k.start()
	line := strings.SplitAfter(resources, "\n")
	ward := k.kickOff("/fhir/Group/ward/$export?_type=Patient,Observation")
	<-k.ended
	require.Equal(t, map[string]string{"Patient": line[0], "Observation": line[2]}, k.files(ward))

	empty := k.kickOff("/fhir/Group/empty/$export?_type=Patient,Observation")
	<-k.ended
	require.Empty(t, k.files(empty), "never everybody")

	res := k.post("/fhir/Patient/$export?_type=Patient", patientBody("p2"))
	require.Equal(t, http.StatusAccepted, res.status, "%s", res.body)
	<-k.ended
	second := k.path(res.header.Get("Content-Location"))
	require.Equal(t, map[string]string{"Patient": line[1]}, k.files(second))
}

// plainSource has no abilities.
type plainSource struct{ bulkexport.ResourceSource }

func TestLevelThatIsNotOffered(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Source: plainSource{wards(t, "")}}})
	for _, method := range []string{"GET", "POST"} {
		res := k.do(method, "/fhir/Group/ward/$export")
		require.Equal(t, http.StatusNotFound, res.status)
		require.Equal(t, "not-supported", outcomeOf(t, res.body).Issue[0].Code)
	}
	k.accepted(k.get("/fhir/Patient/$export"))
}

func TestPost(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Source: wards(t, "")}})
	const target = "/fhir/Patient/$export"
	everything := parameters(
		`{"name":"_outputFormat","valueString":"application/fhir+ndjson"}`,
		`{"name":"_since","valueInstant":"2026-01-01T00:00:00+02:00"}`,
		`{"name":"_until","valueDateTime":"2026-02-01T00:00:00Z"}`,
		`{"name":"_type","valueString":"Patient,Observation"}`,
		`{"name":"_type","valueCode":"Condition"}`,
		`{"name":"_elements","valueString":"Patient.id"}`,
		`{"name":"patient","valueReference":{"reference":"Patient/p1"}}`,
		`{"name":"patient","valueReference":{"reference":"`+k.base+`/fhir/Patient/p2"}}`,
		`{"name":"_typeFilter","valueString":"Observation?status=final,amended&date=ge2026-01-01T00:00:00+02:00"}`,
		`{"name":"allowPartialManifests","valueBoolean":true}`,
	)
	req := k.accepted(k.post(target, everything))
	require.Equal(t, bulkexport.ExportRequest{
		URL: k.base + target, Level: bulkexport.LevelPatient,
		Types:        []string{"Condition", "Observation", "Patient"},
		Since:        time.Date(2025, 12, 31, 22, 0, 0, 0, time.UTC),
		Until:        time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC),
		Elements:     []string{"Patient.id"},
		Patients:     bulkexport.PatientSet{Limited: true, IDs: []string{"p1", "p2"}},
		TypeFilters:  []string{"Observation?status=final,amended&date=ge2026-01-01T00:00:00+02:00"},
		AllowPartial: true,
	}, req)

	one := parameters(`{"name":"_type","valueString":"Patient"}`)
	for _, test := range []struct {
		name, query, headers string
		types                []string
	}{
		{"no body", "", "Accept: */*", nil},
		{"empty body", "", withBody("application/fhir+json", ""), nil},
		{"empty form", "", withBody("application/x-www-form-urlencoded", ""), nil},
		{"white space", "", withBody("text/plain", " \r\n"), nil},
		{"no parameters", "", withBody("application/fhir+json", parameters()), nil},
		{"none at all", "", withBody("application/fhir+json", `{"resourceType":"Parameters"}`), nil},
		{"general media type", "", withBody("application/json", one), []string{"Patient"}},
		{"media type with a parameter", "", withBody("Application/FHIR+JSON; charset=utf-8", one), []string{"Patient"}},
		{"byte order mark", "", withBody("application/json", "\ufeff"+one), []string{"Patient"}},
		{"no coding", "", "Content-Encoding: identity\r\n" + withBody("application/json", one), []string{"Patient"}},
		{"chunks", "", "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
			fmt.Sprintf("%x\r\n%s\r\n0\r\n", len(one), one), []string{"Patient"}},
		{"query", "?_type=Condition", "Accept: */*", []string{"Condition"}},
		{"query and body", "?_type=Condition", withBody("application/json", one), []string{"Condition", "Patient"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			req := k.accepted(k.do("POST", target+test.query, test.headers))
			require.Equal(t, test.types, req.Types)
			require.Equal(t, k.base+target+test.query, req.URL, "the URL without the parameters of the body")
		})
	}
}

func TestBodyIsBounded(t *testing.T) {
	t.Parallel()
	body := parameters(`{"name":"_type","valueString":"Patient"}`)
	k := newKit(t, setup{http: httpadapter.Config{MaxBodyBytes: int64(len(body))}})
	k.accepted(k.post("/fhir/$export", body))
	for _, headers := range []string{
		withBody("application/fhir+json", body+" "),
		"Content-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"1000\r\n" + strings.Repeat(" ", 0x1000) + "\r\n0\r\n",
		// Announced, and not sent.
		"Content-Type: application/fhir+json\r\nContent-Length: 99999999999",
	} {
		res := k.do("POST", "/fhir/$export", headers)
		require.Equal(t, http.StatusRequestEntityTooLarge, res.status)
		require.Equal(t, "too-long", outcomeOf(t, res.body).Issue[0].Code)
	}
}

// TestBodyBreaksOff ends a connection in the middle of a body.
func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	res := k.do("POST", "/fhir/$export", "Content-Type: application/json\r\n"+
		"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n")
	require.Equal(t, http.StatusBadRequest, res.status)
	require.Equal(t, "structure", outcomeOf(t, res.body).Issue[0].Code)
	jobs, err := k.store.Jobs(t.Context(), bulkexport.JobFilter{})
	require.NoError(t, err)
	require.Empty(t, jobs)
}

// TestBallot knows POST only.
func TestBallot(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{http: httpadapter.Config{Guide: bulkexport.STU4Ballot}})
	res := k.get("/fhir/$export")
	require.Equal(t, http.StatusMethodNotAllowed, res.status)
	require.Equal(t, "POST", res.header.Get("Allow"))
	outcomeOf(t, res.body)
	k.accepted(k.post("/fhir/$export", parameters()))
}

func TestTooManyExports(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{
		core: bulkexport.Config{MaxClientExports: 1, MaxTenantExports: 2},
		http: httpadapter.Config{Authorize: authorize},
	})
	kickOff := func(token string) response { return k.get("/fhir/$export", "Authorization: Bearer "+token) }
	require.Equal(t, http.StatusAccepted, kickOff("alice").status)
	refused := kickOff("alice")
	require.Equal(t, http.StatusTooManyRequests, refused.status)
	require.Regexp(t, `^[1-9]\d*$`, refused.header.Get("Retry-After"))
	k.golden("kickoff-too-many", refused)

	require.Equal(t, http.StatusAccepted, kickOff("bob").status)
	require.Equal(t, http.StatusAccepted, kickOff("other").status, "another tenant")
	jobs, err := k.store.Jobs(t.Context(), bulkexport.JobFilter{})
	require.NoError(t, err)
	require.Len(t, jobs, 3)
}

package httpadapter_test

import (
	"math"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func newExporter(t *testing.T) *bulkexport.Exporter {
	t.Helper()
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: memsource.New(memsource.Config{}), Store: memstore.New(), Sink: memsink.New(),
	})
	require.NoError(t, err)
	return exporter
}

// faultPattern finds the field that each line of an error is about.
var faultPattern = regexp.MustCompile(`(?m)^httpadapter: Config\.(\w+) `)

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	hook := func(*http.Request) (bulkexport.Access, error) { return bulkexport.Access{}, nil }
	for _, test := range []struct {
		name   string
		config httpadapter.Config
		fields []string
	}{
		{"zero", httpadapter.Config{}, []string{"BaseURL", "Authorize"}},
		{"relative base", httpadapter.Config{BaseURL: "/fhir", Open: true}, []string{"BaseURL"}},
		{"no scheme", httpadapter.Config{BaseURL: "localhost:8080", Open: true}, []string{"BaseURL"}},
		{"scheme", httpadapter.Config{BaseURL: "ftp://h", Open: true}, []string{"BaseURL"}},
		{"no host", httpadapter.Config{BaseURL: "http:///x", Open: true}, []string{"BaseURL"}},
		{"no URL", httpadapter.Config{BaseURL: "http://h:port", Open: true}, []string{"BaseURL"}},
		{"query", httpadapter.Config{BaseURL: "http://h?x", Open: true}, []string{"BaseURL"}},
		{"question mark", httpadapter.Config{BaseURL: "http://h?", Open: true}, []string{"BaseURL"}},
		{"fragment", httpadapter.Config{BaseURL: "http://h#", Open: true}, []string{"BaseURL"}},
		{"user", httpadapter.Config{BaseURL: "http://u:p@h", Open: true}, []string{"BaseURL"}},
		{"wildcard in base", httpadapter.Config{BaseURL: "http://h/{x}", Open: true}, []string{"BaseURL"}},
		{"dots in base", httpadapter.Config{BaseURL: "http://h/a/../b", Open: true}, []string{"BaseURL"}},
		{"wildcard", httpadapter.Config{BaseURL: "http://h", FHIRPath: "/{x...}", Open: true}, []string{"FHIRPath"}},
		{"relative path", httpadapter.Config{BaseURL: "http://h", FHIRPath: "fhir", Open: true}, []string{"FHIRPath"}},
		{"no path", httpadapter.Config{BaseURL: "http://h", JobPath: "/", Open: true}, []string{"JobPath"}},
		{"double slash", httpadapter.Config{BaseURL: "http://h", JobPath: "/a//b", Open: true}, []string{"JobPath"}},
		{"jobs at kick-offs", httpadapter.Config{BaseURL: "http://h", JobPath: "/fhir/", Open: true}, []string{"JobPath"}},
		{"jobs at Patient", httpadapter.Config{BaseURL: "http://h", FHIRPath: "/", JobPath: "/Patient", Open: true},
			[]string{"JobPath"}},
		{"jobs above", httpadapter.Config{BaseURL: "http://h", FHIRPath: "/a/b", JobPath: "/a", Open: true},
			[]string{"JobPath"}},
		{"jobs at Groups", httpadapter.Config{BaseURL: "http://h", JobPath: "/fhir/Group", Open: true}, []string{"JobPath"}},
		{"jobs at a Group", httpadapter.Config{BaseURL: "http://h", JobPath: "/fhir/Group/x", Open: true},
			[]string{"JobPath"}},
		{"jobs at a Patient", httpadapter.Config{BaseURL: "http://h", JobPath: "/fhir/Patient/x", Open: true},
			[]string{"JobPath"}},
		{"jobs at definitions", httpadapter.Config{BaseURL: "http://h", JobPath: "/fhir/OperationDefinition", Open: true},
			[]string{"JobPath"}},
		{"guide", httpadapter.Config{BaseURL: "http://h", Guide: "5", Open: true}, []string{"Guide"}},
		{"body", httpadapter.Config{BaseURL: "http://h", MaxBodyBytes: -1, Open: true}, []string{"MaxBodyBytes"}},
		{"polls", httpadapter.Config{BaseURL: "http://h", PollLimit: -2, Open: true}, []string{"PollLimit"}},
		{"many polls", httpadapter.Config{BaseURL: "http://h", PollLimit: math.MaxInt, Open: true}, []string{"PollLimit"}},
		{"rate without a burst", httpadapter.Config{
			BaseURL: "http://h", TenantPolls: httpadapter.Rate{Every: time.Second}, Open: true,
		}, []string{"TenantPolls"}},
		{"rate of ever", httpadapter.Config{
			BaseURL: "http://h", ClientKickOffs: httpadapter.Rate{Burst: 1}, Open: true,
		}, []string{"ClientKickOffs"}},
		{"long rate", httpadapter.Config{
			BaseURL: "http://h", TenantKickOffs: httpadapter.Rate{Burst: math.MaxInt, Every: math.MaxInt64}, Open: true,
		}, []string{"TenantKickOffs"}},
		{"rate of less than none", httpadapter.Config{
			BaseURL: "http://h", ClientKickOffs: httpadapter.Rate{Burst: -1},
			FailedLogins: httpadapter.Rate{Burst: -2, Every: time.Second}, Open: true,
		}, []string{"ClientKickOffs", "FailedLogins"}},
		{"status", httpadapter.Config{BaseURL: "http://h", DeleteStatus: 200, Open: true}, []string{"DeleteStatus"}},
		{"both", httpadapter.Config{BaseURL: "http://h", Authorize: hook, Open: true}, []string{"Open"}},
		{
			"all at once", httpadapter.Config{
				BaseURL: "h", FHIRPath: "a b", JobPath: "..", DeleteStatus: -1, Guide: "x", MaxBodyBytes: -1, PollLimit: -9,
			},
			[]string{"BaseURL", "FHIRPath", "JobPath", "DeleteStatus", "Guide", "MaxBodyBytes", "PollLimit", "Authorize"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := httpadapter.New(newExporter(t), test.config)
			require.Error(t, err)
			var fields []string
			for _, match := range faultPattern.FindAllStringSubmatch(err.Error(), -1) {
				fields = append(fields, match[1])
			}
			require.Equal(t, test.fields, fields, "%v", err)
		})
	}
}

func TestExporterIsRequired(t *testing.T) {
	t.Parallel()
	_, err := httpadapter.New(nil, httpadapter.Config{Open: true})
	require.ErrorContains(t, err, "exporter")
	require.ErrorContains(t, err, "BaseURL")
}

func TestConfigIsEnough(t *testing.T) {
	t.Parallel()
	for _, config := range []httpadapter.Config{
		{BaseURL: "http://localhost:8080", Open: true},
		{BaseURL: "HTTPS://fhir.example.org/", Open: true, DeleteStatus: http.StatusAccepted},
		{BaseURL: "http://h", FailedLogins: httpadapter.Rate{Burst: -1}, Open: true},
		{BaseURL: "http://h", ClientKickOffs: httpadapter.Rate{Burst: 7, Every: 24 * time.Hour}, Open: true},
		{BaseURL: "http://h", JobPath: "/fhir/jobs", Guide: bulkexport.STU4Ballot, Strict: true, PollLimit: -1, Open: true},
		{BaseURL: "http://h", FHIRPath: "/", JobPath: "/jobs", MaxBodyBytes: 1, PollLimit: 1, Open: true},
		{BaseURL: "http://h", FHIRPath: "/a/b/c", JobPath: "/a", Open: true},
		{BaseURL: "https://[::1]:8443/a/b~c-d_e.f/", FHIRPath: "/r4/", JobPath: "/r4/jobs", Open: true},
	} {
		_, err := httpadapter.New(newExporter(t), config)
		require.NoError(t, err)
	}
}

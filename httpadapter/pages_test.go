package httpadapter_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// members are the members of a manifest, as they came.
func members(t *testing.T, res response) map[string]json.RawMessage {
	t.Helper()
	require.Equal(t, "application/json", res.header.Get("Content-Type"), "%s", res.body)
	var found map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(res.body, &found))
	return found
}

// TestPartialManifests reads the first page while the export runs, and what is
// left when it is completed.
func TestPartialManifests(t *testing.T) {
	t.Parallel()
	source := gatedSource{loaded(t, ""), make(chan struct{}), make(chan struct{})}
	k := newKit(t, setup{core: bulkexport.Config{
		Source: source, Now: time.Now, ManifestFiles: 1, Runner: bulkexport.NewPool(1),
	}})
	k.start()
	status := k.kickOff("/fhir/$export?_type=Observation,Organization,Patient&allowPartialManifests=true")
	<-source.entered // the worker has done all that comes before

	first := k.get(status)
	require.Equal(t, http.StatusAccepted, first.status)
	require.Regexp(t, `^[1-9]\d*$`, first.header.Get("Retry-After"))
	require.Regexp(t, `^\d+% `, first.header.Get("X-Progress"))
	require.Empty(t, first.header.Get("Expires"))
	early := members(t, first)
	require.JSONEq(t, `[{"relation":"next","url":"`+k.base+status+`?page=2"}]`, string(early["link"]))

	second := k.get(status + "?page=2") // may be the last one, which would have no link
	require.Equal(t, http.StatusAccepted, second.status)
	require.Empty(t, second.body, "any JSON would be taken for a manifest")
	require.Empty(t, second.header.Get("Content-Type"))

	var output []entry
	require.NoError(t, json.Unmarshal(early["output"], &output))
	require.Len(t, output, 1)
	content := k.get(k.path(output[0].URL))
	require.Equal(t, http.StatusOK, content.status, "what is listed can be had at once")

	close(source.gate)
	<-k.ended
	pages := []map[string]json.RawMessage{early}
	for number, next := 1, status; next != ""; number++ {
		res := k.get(next)
		require.Equal(t, http.StatusOK, res.status)
		page := members(t, res)
		for _, name := range []string{"transactionTime", "request", "requiresAccessToken", "error"} {
			require.Equal(t, string(early[name]), string(page[name]), name)
		}
		pages, next = append(pages, page), ""
		var links []struct{ Relation, URL string }
		if page["link"] != nil {
			require.NoError(t, json.Unmarshal(page["link"], &links))
			require.Equal(t, "next", links[0].Relation)
			next = k.path(links[0].URL)
		}
	}
	require.Len(t, pages, 1+3)
	require.Equal(t, early["output"], pages[1]["output"], "a page that was shown does not change")
	require.Equal(t, content.body, k.get(k.path(output[0].URL)).body)
	require.Equal(t, http.StatusNotFound, k.get(status+"?page=4").status)
}

// TestPagesAreAskedFor has a client that did not allow them.
func TestPagesAreAskedFor(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Source: loaded(t, ""), Now: time.Now, ManifestFiles: 1}})
	k.start()
	status := k.kickOff("/fhir/$export?allowPartialManifests=false")
	<-k.ended
	page := members(t, k.get(status))
	require.NotContains(t, page, "link")
	require.Len(t, k.files(status), 3)
	require.JSONEq(t, string(k.get(status).body), string(k.get(status+"?page=1").body))
	require.Equal(t, http.StatusNotFound, k.get(status+"?page=2").status)
}

// TestSeparateStatus follows a job whose status is in a header.
func TestSeparateStatus(t *testing.T) {
	t.Parallel()
	source := gatedSource{loaded(t, ""), make(chan struct{}), make(chan struct{})}
	k := newKit(t, setup{core: bulkexport.Config{Source: source, Now: time.Now}})
	k.start()
	status := k.kickOff("/fhir/$export?_type=Patient", "Prefer: respond-async, separate-export-status")
	<-source.entered
	running := k.get(status)
	require.Equal(t, http.StatusOK, running.status)
	require.Equal(t, "202 Accepted", running.header.Get("X-Export-Status"))
	require.NotEmpty(t, running.header.Get("Retry-After"))
	require.Empty(t, running.body, "with status 200 it would be taken for a manifest")
	close(source.gate)
	<-k.ended
	completed := k.get(status)
	require.Equal(t, http.StatusOK, completed.status)
	require.Equal(t, "200 OK", completed.header.Get("X-Export-Status"))
	require.Len(t, k.files(status), 1)

	require.Equal(t, http.StatusNoContent, k.do("DELETE", status).status)
	gone := k.get(status)
	require.Equal(t, http.StatusNotFound, gone.status)
	require.Empty(t, gone.header.Get("X-Export-Status"), "there is no job to have one")
}

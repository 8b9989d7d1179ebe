package conformance_test

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func pageChecks() []check {
	return []check{
		{
			title: "a manifest of several pages links to the next, and all is on exactly one",
			ids:   ids("P-100", "M-13", "M-60", "T-19"), run: checkPages,
		},
		{
			title: "pages agree in all but output, deleted and link",
			ids:   ids("M-61", "T-19"), run: checkPagesAgree,
		},
		{
			title: "a running export shows its first page, whose files can be fetched and which stays",
			ids:   ids("S-10", "S-11", "S-12", "S-13", "T-19"), run: checkPartialManifest,
		},
		{
			title: "a manifest that was shown is the same at the end, but for link",
			ids:   ids("S-12", "T-19"), run: checkPartialManifestStays,
		},
		{
			title: "a page that is not there yet is 202, one that never will be 404",
			ids:   ids("M-62", "T-19"), run: checkMissingPages,
		},
		{
			title: "an error after the first page was shown fails the export",
			ids:   ids("M-62", "T-19"), run: checkLateError,
		},
		{
			title: "without allowPartialManifests there is one page, at the end",
			ids:   ids("P-101"), run: checkOnePage,
		},
	}
}

// paged makes pages of two files of two resources each.
func paged(s setup) setup {
	s.core.MaxFileResources, s.core.ManifestFiles, s.core.Slice = 2, 2, 1
	return s
}

const partial = "/$export?allowPartialManifests=true"

// pages reads all pages of an export from the URL of its status on.
func (k *server) pages(job string) []export {
	k.Helper()
	var all []export
	for url := job; url != ""; url = all[len(all)-1].next() {
		require.Less(k, len(all), 100)
		all = append(all, k.read(url))
	}
	return all
}

func checkPages(t *testing.T) {
	k := start(t, paged(setup{data: ward()}))
	at := k.clock.read()
	k.remove("Patient/c")
	job := k.kickOff(partial)
	k.await(job)
	pages := k.pages(job)
	require.Greater(t, len(pages), 2)
	names := []string{}
	for _, page := range pages {
		require.LessOrEqual(t, len(*page.Output), 2)
		names = append(names, page.names()...)
		if page.next() != "" {
			require.Len(t, page.Link, 1)
			require.Regexp(t, `^`+k.root+`/`, page.next())
		}
	}
	want := slices.DeleteFunc(everything(), func(name string) bool { return name == "Patient/c" })
	require.Equal(t, want, sorted(names...))

	job = k.kickOff(partial + "&_since=" + stamp(at))
	k.await(job)
	pages = k.pages(job)
	require.Len(t, pages, 1)
	require.Empty(t, pages[0].Link)
	require.Equal(t, []string{"Patient/c"}, k.deletions(pages[0]))
}

func checkPagesAgree(t *testing.T) {
	k := start(t, paged(setup{data: ward()}))
	job := k.kickOff(partial+"&nonsense=1", "Prefer: handling=lenient")
	k.await(job)
	pages := k.pages(job)
	require.Greater(t, len(pages), 2)
	same := func(page export) map[string]any {
		members := k.object(page.complete.body)
		for _, name := range []string{"output", "deleted", "link"} {
			delete(members, name)
		}
		return members
	}
	require.Len(t, *pages[0].Error, 1)
	for _, page := range pages[1:] {
		require.Equal(t, same(pages[0]), same(page))
	}
}

func checkPartialManifest(t *testing.T) {
	before, entered, release := held(`"ValueSet"`)
	s := paged(setup{data: ward(), before: before})
	s.core.Runner = bulkexport.NewPool(1)
	k := start(t, s)
	defer release()
	job := k.kickOff(partial)
	<-entered
	first := k.get(job)
	require.Equal(t, http.StatusAccepted, first.status)
	require.Equal(t, "application/json", first.header.Get("Content-Type"))
	require.NotEmpty(t, first.header.Get("Retry-After"))
	shown := k.manifest(first)
	require.Len(t, *shown.Output, 2)
	contents := map[string][]byte{}
	for _, file := range *shown.Output {
		a := k.get(file.URL)
		require.Equal(t, http.StatusOK, a.status)
		contents[file.URL] = a.body
	}
	k.put(`Condition/c2 "code":{"text":"changed"}`)
	require.Equal(t, first.body, k.get(job).body)
	release()
	e := k.finish(job)
	require.Equal(t, *shown.Output, *e.Output)
	require.Equal(t, shown.TransactionTime, e.TransactionTime)
	require.Equal(t, shown.next(), e.next())
	for url, content := range contents {
		require.Equal(t, content, k.get(url).body)
	}
}

// checkPartialManifestStays has types without resources and a filter of the host,
// of which manifests tell.
func checkPartialManifestStays(t *testing.T) {
	before, entered, release := held(`"ValueSet"`)
	s := paged(setup{data: ward(), before: before})
	s.core.Runner, s.core.Filter = bulkexport.NewPool(1), drop(`"Location"`)
	k := start(t, s)
	defer release()
	job := k.kickOff(partial + "&_type=Account,Condition,Encounter,Location,Observation,Patient,ValueSet")
	<-entered
	shown := k.object(k.get(job).body)
	require.NotEmpty(t, shown["output"])
	release()
	k.await(job)
	ended := k.object(k.get(job).body)
	delete(shown, "link")
	delete(ended, "link")
	require.Equal(t, shown, ended)
}

// checkMissingPages has eleven files before the one that is held.
func checkMissingPages(t *testing.T) {
	before, entered, release := held(`"ValueSet"`)
	s := paged(setup{data: append(ward(), "Basic/b"), before: before})
	s.core.Runner = bulkexport.NewPool(1)
	k := start(t, s)
	defer release()
	job := k.kickOff(partial)
	<-entered
	var url string
	running := 0
	for url = job; ; running++ {
		a := k.get(url)
		require.Equal(t, http.StatusAccepted, a.status)
		if len(a.body) == 0 {
			break
		}
		url = k.manifest(a).next()
		require.NotEmpty(t, url)
	}
	require.Positive(t, running)
	release()
	k.await(job)
	require.Equal(t, http.StatusOK, k.get(url).status)
	require.Greater(t, len(k.pages(job)), running)
	for _, page := range []string{"?page=1000", "?page=0", "?page=-1", "?page=x", "?page="} {
		require.Equal(t, "not-found", k.fails(k.get(job+page), http.StatusNotFound).Code)
	}
}

func checkLateError(t *testing.T) {
	hold, entered, release := held(`"ValueSet"`)
	s := paged(setup{data: ward(), before: func(ctx context.Context, resource []byte) error {
		err := hold(ctx, resource)
		if err == nil && bytes.Contains(resource, []byte(`"ValueSet"`)) {
			return &bulkexport.ResourceError{Type: "ValueSet", ID: "v", Reason: "damaged"}
		}
		return err
	}})
	s.core.Runner, s.core.MaxAttempts = bulkexport.NewPool(1), 1
	k := start(t, s)
	defer release()
	job := k.kickOff(partial)
	<-entered
	next := k.manifest(k.get(job)).next()
	require.NotEmpty(t, next)
	release()
	k.await(job)
	for _, url := range []string{job, next} {
		require.Contains(t, k.fails(k.get(url), http.StatusInternalServerError).Diagnostics, "allowPartialManifests")
	}
}

func checkOnePage(t *testing.T) {
	before, entered, release := held(`"ValueSet"`)
	s := paged(setup{data: ward(), before: before})
	s.core.Runner = bulkexport.NewPool(1)
	k := start(t, s)
	defer release()
	for _, query := range []string{"", "?allowPartialManifests=false"} {
		job := k.kickOff("/$export" + query)
		if query == "" {
			<-entered
		}
		require.NotContains(t, k.object(k.get(job).body), "output")
		defer func() {
			e := k.finish(job)
			require.Empty(t, e.Link)
			require.Equal(t, everything(), e.names())
		}()
	}
	release()
}

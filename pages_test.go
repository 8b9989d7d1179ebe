package bulkexport_test

import (
	"bytes"
	"context"
	"math"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// gate holds the readers of a type until it is opened.
type gate struct {
	resourceType string
	open         chan struct{}
}

func (g gate) before(ctx context.Context, resourceType string, n int) error {
	if resourceType != g.resourceType || n < 5 {
		return nil
	}
	select {
	case <-g.open:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *kit) page(id string, number int) bulkexport.Status {
	k.Helper()
	status, err := k.exporter.StatusPage(k.Context(), alice, id, number)
	require.NoError(k, err)
	return status
}

func (k *kit) kickOffPartial() string {
	k.Helper()
	job, err := k.exporter.KickOff(k.Context(), alice,
		bulkexport.ExportRequest{Level: bulkexport.LevelSystem, AllowPartial: true})
	require.NoError(k, err)
	return job.ID
}

func publicNames(status bulkexport.Status) []string {
	var names []string
	for _, file := range status.Files {
		names = append(names, file.PublicName)
	}
	return names
}

func TestPartialManifests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		// Files of two resources: A has 3 of them, B waits in its third.
		source := newListSource(map[string]int{"Account": 6, "Basic": 9})
		hold := gate{"Basic", make(chan struct{})}
		source.before = hold.before
		k := newKit(t, bulkexport.Config{Source: source, MaxFileResources: 2, ManifestFiles: 2, Slice: 1})
		k.start()
		defer k.stop()
		id, whole := k.kickOffPartial(), k.kickOff()
		synctest.Wait()

		first := k.page(id, 1)
		require.Equal(t, bulkexport.JobRunning, first.Job.State)
		require.True(t, first.Ready && first.More)
		require.Equal(t, []string{"Account.ndjson", "Account_00002.ndjson"}, publicNames(first))
		second := k.page(id, 2)
		require.True(t, second.Ready && second.More)
		require.Equal(t, []string{"Account_00003.ndjson", "Basic.ndjson"}, publicNames(second))
		require.False(t, k.page(id, 3).Ready)
		require.False(t, k.status(whole).Ready, "only who asked gets a page early")
		_, err := k.exporter.StatusPage(t.Context(), alice, whole, 2)
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound, "nor will he have several")
		k.content(id, "Account_00003.ndjson") // can be fetched at once
		for name, job := range map[string]string{"Basic_00002.ndjson": id, "Account.ndjson": whole} {
			_, err := k.exporter.OpenFile(t.Context(), alice, job, name)
			require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
		}

		close(hold.open)
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
		require.Equal(t, publicNames(first), publicNames(k.page(id, 1)), "a page that was seen stays")
		require.Equal(t, publicNames(second), publicNames(k.page(id, 2)))
		last := k.page(id, 4)
		require.True(t, last.Ready && !last.More)
		require.Equal(t, []string{"Basic_00004.ndjson", "Basic_00005.ndjson"}, publicNames(last))
		for _, number := range []int{0, -1, 5, math.MaxInt, math.MinInt} {
			_, err := k.exporter.StatusPage(t.Context(), alice, id, number)
			require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
		}
		require.Len(t, k.wait(whole).Files, 8)
	})
}

func TestPartialManifestOfNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
		k.start()
		defer k.stop()
		status := k.wait(k.kickOffPartial())
		require.True(t, status.Ready && !status.More)
		require.Empty(t, status.Files)
	})
}

// TestErrorAfterAPartialManifest: a page that was returned has no error file, and
// can have none later.
func TestErrorAfterAPartialManifest(t *testing.T) {
	t.Parallel()
	for name, look := range map[string]bool{"after a page was seen": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source := newListSource(map[string]int{"Account": 6, "Basic": 9})
				source.lists["Basic"][7] = "{"
				hold := gate{"Basic", make(chan struct{})}
				source.before = hold.before
				k := newKit(t, bulkexport.Config{Source: source, MaxFileResources: 2, ManifestFiles: 2, Slice: 1})
				k.start()
				defer k.stop()
				id := k.kickOffPartial()
				synctest.Wait()
				if look {
					require.True(t, k.page(id, 1).Ready)
				}
				close(hold.open)
				status := k.wait(id)
				if look {
					require.Equal(t, bulkexport.JobFailed, status.Job.State)
					require.Contains(t, status.Job.FailureReason, "allowPartialManifests")
					return
				}
				require.Equal(t, bulkexport.JobCompleted, status.Job.State)
				for _, number := range []int{1, 2} {
					require.Contains(t, publicNames(k.page(id, number)), "errors.ndjson", "errors are on every page")
				}
			})
		})
	}
}

// seen is what a client has of a page: the manifest, with a link if another one
// follows.
func seen(t *testing.T, status bulkexport.Status) string {
	t.Helper()
	manifest := bulkexport.NewManifest(status, false, func(name string) string { return "http://x/" + name })
	if status.More {
		manifest.Next = "next"
	}
	text, err := manifest.MarshalJSON()
	require.NoError(t, err)
	return string(text)
}

// TestAPageThatWasSeenStays looks at pages while the number of files is about
// the length of a page, and while types may turn out to be empty.
func TestAPageThatWasSeenStays(t *testing.T) {
	t.Parallel()
	for accounts := range 7 {
		synctest.Test(t, func(t *testing.T) {
			source := newListSource(map[string]int{"Account": accounts, "Basic": 9})
			hold := gate{"Basic", make(chan struct{})}
			source.before = hold.before
			k := newKit(t, bulkexport.Config{Source: source, MaxFileResources: 2, ManifestFiles: 2, Slice: 1,
				Filter: func(_ context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
					if bytes.Contains(resource, []byte("Basic-7")) {
						return nil, nil
					}
					return resource, nil
				}})
			k.start()
			defer k.stop()
			job, err := k.exporter.KickOff(t.Context(), alice, bulkexport.ExportRequest{Level: bulkexport.LevelSystem,
				Types: []string{"Account", "Basic", "Patient"}, AllowPartial: true})
			require.NoError(t, err)
			synctest.Wait()
			var pages []string
			for {
				status := k.page(job.ID, len(pages)+1)
				if !status.Ready {
					break
				}
				require.True(t, status.More, "it runs, so another one follows")
				pages = append(pages, seen(t, status))
			}
			require.Len(t, pages, ((accounts+1)/2+1)/2)
			close(hold.open)
			require.Equal(t, bulkexport.JobCompleted, k.wait(job.ID).Job.State)
			for i, page := range pages {
				require.Equal(t, page, seen(t, k.page(job.ID, i+1)), "%d accounts", accounts)
			}
		})
	}
}

func TestPagesThatCanNeverBe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Basic": 9})
		hold := gate{"Basic", make(chan struct{})}
		source.before = hold.before
		k := newKit(t, bulkexport.Config{Source: source, ManifestFiles: 2})
		k.start()
		defer k.stop()
		partial, whole := k.kickOffPartial(), k.kickOff()
		look := func(id string, numbers ...int) {
			for _, number := range numbers {
				_, err := k.exporter.StatusPage(t.Context(), alice, id, number)
				require.ErrorIs(t, err, bulkexport.ErrFileNotFound, "page %d", number)
			}
		}
		synctest.Wait()
		require.False(t, k.page(partial, math.MaxInt).Ready)
		look(partial, 0, -1, math.MinInt)
		look(whole, 0, 2, math.MaxInt)
		close(hold.open)
		k.wait(partial)
		k.wait(whole)
		look(partial, 0, 2, math.MaxInt/2+2, math.MaxInt, math.MinInt)
		look(whole, 0, 2, math.MaxInt)
	})
}

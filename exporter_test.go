package bulkexport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func TestExport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 25, "Observation": 120, "Condition": 0})
		k := newKit(t, bulkexport.Config{Source: source})
		id := k.kickOff()
		require.True(t, bulkexport.ValidJobID(id))
		require.Zero(t, source.reads.Load(), "a kick-off touches no resource")
		require.Equal(t, bulkexport.JobAccepted, k.status(id).Job.State)

		k.start()
		defer k.stop()
		status := k.wait(id)
		require.Equal(t, bulkexport.JobCompleted, status.Job.State)
		require.Equal(t, bulkexport.Progress{Done: 145, Total: 145, Complete: true}, status.Progress)
		require.Equal(t, status.Job.EndedAt.Add(24*time.Hour), status.Job.ExpiresAt)
		require.Equal(t, source.all("Observation", "Patient"), k.lines(id))
		require.Contains(t, k.contents(id), "Patient.ndjson")
	})
}

func TestExportOfChosenTypes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3, "Observation": 3, "Condition": 3, "Organization": 3})
		k := newKit(t, bulkexport.Config{Source: source, ResourceTypes: []string{"Patient", "Observation", "Organization"}})
		k.start()
		defer k.stop()
		id := k.kickOff("Patient", "Observation")
		k.wait(id)
		require.Equal(t, source.all("Patient", "Observation"), k.lines(id))

		_, err := k.exporter.KickOff(t.Context(), alice,
			bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Types: []string{"Condition"}})
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault, "the server does not export it")
		require.Equal(t, "_type", fault.Parameter)

		job, err := k.exporter.KickOff(t.Context(), alice, bulkexport.ExportRequest{Level: bulkexport.LevelPatient})
		require.NoError(t, err)
		k.wait(job.ID)
		require.Equal(t, source.all("Patient", "Observation"), k.lines(job.ID), "no Organization at patient level")

		_, err = k.exporter.KickOff(t.Context(), alice,
			bulkexport.ExportRequest{Level: bulkexport.LevelPatient, Types: []string{"Organization"}})
		require.ErrorAs(t, err, &fault)
	})
}

func TestEmptyExport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
		k.start()
		defer k.stop()
		status := k.wait(k.kickOff())
		require.Equal(t, bulkexport.JobCompleted, status.Job.State)
		require.Empty(t, status.Files)
	})
}

func TestFilesAreCutBySizeAndNamesSort(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]bulkexport.Config{
		"by count": {MaxFileResources: 10},
		"by bytes": {MaxFileBytes: 1000},
		"by both":  {MaxFileResources: 7, MaxFileBytes: 800},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source := newListSource(map[string]int{"Patient": 95, "Observation": 3})
				cfg.Source = source
				k := newKit(t, cfg)
				k.start()
				defer k.stop()
				id := k.kickOff()
				k.wait(id)
				require.Equal(t, source.all("Patient", "Observation"), k.lines(id))
				var names []string
				for _, file := range k.status(id).Files {
					names = append(names, file.PublicName)
					if cfg.MaxFileResources > 0 {
						require.LessOrEqual(t, file.Count, cfg.MaxFileResources)
					}
					if cfg.MaxFileBytes > 0 {
						require.LessOrEqual(t, file.Size, cfg.MaxFileBytes)
					}
				}
				require.IsIncreasing(t, names)
				require.Equal(t, []string{"Observation.ndjson", "Patient.ndjson", "Patient_00002.ndjson"}, names[:3])
			})
		})
	}
}

// TestOutputIsDeterministic compares names and bytes of exports with different
// numbers of workers, and with trouble on the way.
func TestOutputIsDeterministic(t *testing.T) {
	t.Parallel()
	run := func(workers int, troubled bool) map[string]string {
		var contents map[string]string
		synctest.Test(t, func(t *testing.T) {
			source := newListSource(map[string]int{"Patient": 95, "Observation": 230, "Condition": 1})
			if troubled {
				failures := map[string]int{}
				source.before = func(_ context.Context, name string, n int) error {
					source.mu.Lock()
					defer source.mu.Unlock()
					if at := fmt.Sprint(name, n); n%31 == 30 && failures[at] < 2 {
						failures[at]++
						return errors.New("connection lost")
					}
					return nil
				}
			}
			k := newKit(t, bulkexport.Config{
				Source: countingSource{source}, MaxFileResources: 20, Runner: bulkexport.NewPool(workers),
			})
			k.start()
			defer k.stop()
			id := k.kickOff()
			require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
			require.Equal(t, source.all("Patient", "Observation", "Condition"), k.lines(id))
			contents = k.contents(id)
		})
		return contents
	}
	want := run(1, false)
	require.Equal(t, want, run(8, false))
	require.Equal(t, want, run(1, true))
	require.Equal(t, want, run(8, true))
}

func TestBadResourcesBecomeErrorLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 5})
		source.lists["Patient"][1] = `{"resourceType":"Patient","id":"broken"`
		source.lists["Patient"][2] = `{"resourceType":"Observation","id":"misplaced"}`
		source.before = func(_ context.Context, _ string, n int) error {
			if n == 3 {
				return &bulkexport.ResourceError{Type: "Patient", ID: "p3", Reason: "its body is missing"}
			}
			return nil
		}
		k := newKit(t, bulkexport.Config{Source: source})
		k.start()
		defer k.stop()
		id := k.kickOff()
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
		lines := k.lines(id)
		require.Equal(t, []string{source.lists["Patient"][0], source.lists["Patient"][4]}, lines["Patient"])
		require.Equal(t, []string{
			`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception",` +
				`"diagnostics":"Patient could not be exported: not a JSON resource: no ',' where one must be at byte 39"}]}`,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception",` +
				`"diagnostics":"Patient could not be exported: the stored resource is of another type"}]}`,
			`{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"exception",` +
				`"diagnostics":"Patient/p3 could not be exported: its body is missing"}]}`,
		}, lines["OperationOutcome"])

		manifest := bulkexport.NewManifest(k.status(id), true, func(name string) string { return "x/" + name })
		require.Len(t, manifest.Output, 1)
		require.Equal(t, "x/Patient.ndjson", manifest.Output[0].URL)
		require.EqualValues(t, 2, manifest.Output[0].Count)
		require.Len(t, manifest.Error, 1)
		require.Equal(t, "OperationOutcome", manifest.Error[0].Type)
		require.Equal(t, "x/errors.ndjson", manifest.Error[0].URL)
		require.EqualValues(t, 3, manifest.Error[0].Count)
		require.Equal(t, map[string]int64{"error": 3}, manifest.Error[0].Severities)
	})
}

func TestFilter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 4})
		down := 2 // the consent service fails twice
		filter := func(_ context.Context, job bulkexport.Job, resourceType string, resource []byte) ([]byte, error) {
			require.Equal(t, "north", job.Tenant)
			require.Equal(t, "Patient", resourceType)
			switch {
			case strings.Contains(string(resource), "Patient-1"):
				return nil, nil
			case strings.Contains(string(resource), "Patient-2"):
				return []byte("{\"resourceType\":\"Patient\",\n\"id\":\"masked\"}"), nil
			case strings.Contains(string(resource), "Patient-3"):
				if down--; down >= 0 {
					return nil, errors.New("consent service is down")
				}
				return []byte(`not JSON`), nil
			}
			return resource, nil
		}
		var ended []bulkexport.PartAttempt
		k := newKit(t, bulkexport.Config{Source: source, Filter: filter, Observer: bulkexport.Observer{
			PartEnded: func(_ context.Context, _ bulkexport.Job, a bulkexport.PartAttempt) { ended = append(ended, a) },
		}})
		k.start()
		defer k.stop()
		id := k.kickOff()
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
		lines := k.lines(id)
		require.Equal(t, []string{source.lists["Patient"][0], `{"resourceType":"Patient","id":"masked"}`}, lines["Patient"])
		require.Len(t, lines["OperationOutcome"], 1)
		require.Len(t, ended, 3)
		require.ErrorContains(t, ended[0].Err, "consent service is down")
		require.NoError(t, ended[2].Err)
		last := ended[2].Part
		require.Equal(t, [3]int64{4, 1, 1}, [3]int64{last.Processed, last.Dropped, last.Errors})
	})
}

func TestFailingSourceFailsTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 4, "Observation": 4})
		source.before = func(_ context.Context, name string, n int) error {
			if name == "Patient" && n == 2 {
				return errors.New("disk of the database is broken")
			}
			return nil
		}
		k := newKit(t, bulkexport.Config{Source: source, MaxAttempts: 3})
		k.start()
		defer k.stop()
		id := k.kickOff()
		status := k.wait(id)
		require.Equal(t, bulkexport.JobFailed, status.Job.State)
		require.Equal(t, "The export failed while writing Patient resources: the data could not be read.",
			status.Job.FailureReason)
		require.Empty(t, status.Files)
		require.Contains(t, k.log.String(), "disk of the database is broken")
		parts, err := k.store.Parts(t.Context(), id)
		require.NoError(t, err)
		_, err = k.sink.Open(t.Context(), id, parts[0].Files[0].Name)
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound, "the disk may be what is broken")
		_, err = k.exporter.OpenFile(t.Context(), alice, id, "Observation.ndjson")
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id), "it can still be deleted")
		_, err = k.exporter.Status(t.Context(), alice, id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
	})
}

// blindSource cannot even name its types.
type blindSource struct{ *listSource }

func (blindSource) Types(context.Context, bulkexport.Scope) ([]string, error) {
	return nil, errors.New("no connection")
}

func TestFailingPlanFailsTheJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: blindSource{newListSource(nil)}})
		k.start()
		defer k.stop()
		status := k.wait(k.kickOff())
		require.Equal(t, bulkexport.JobFailed, status.Job.State)
		require.Equal(t, "The export could not be planned: the data could not be read.", status.Job.FailureReason)
		require.Equal(t, 10, status.Job.Failures)
	})
}

func TestJobsBelongToTenantAndClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 1})})
		k.start()
		defer k.stop()
		id := k.kickOff()
		k.wait(id)
		for _, other := range []bulkexport.Caller{
			{Tenant: "south", Client: "alice"}, {Tenant: "north", Client: "bob"}, {Tenant: "north"}, {Client: "alice"}, {},
		} {
			access := bulkexport.Access{Caller: other}
			_, err := k.exporter.Status(t.Context(), access, id)
			require.ErrorIs(t, err, bulkexport.ErrJobNotFound, other)
			_, err = k.exporter.OpenFile(t.Context(), access, id, "Patient.ndjson")
			require.ErrorIs(t, err, bulkexport.ErrJobNotFound, other)
			require.ErrorIs(t, k.exporter.Delete(t.Context(), access, id), bulkexport.ErrJobNotFound, other)
		}
		require.NotEmpty(t, k.lines(id))
		for _, malformed := range []string{"", "x", strings.ToUpper(id), id + "/", "../" + id} {
			_, err := k.exporter.Status(t.Context(), alice, malformed)
			require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
			require.ErrorIs(t, k.exporter.Delete(t.Context(), alice, malformed), bulkexport.ErrJobNotFound)
		}
	})
}

func TestAccessNarrowsTypes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 2, "Observation": 2, "Condition": 2})
		k := newKit(t, bulkexport.Config{Source: source})
		k.start()
		defer k.stop()
		access := alice
		access.Types = []string{"Patient", "Condition", "Device"}
		job, err := k.exporter.KickOff(t.Context(), access, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
		require.NoError(t, err)
		k.wait(job.ID)
		require.Equal(t, source.all("Patient", "Condition"), k.lines(job.ID))

		_, err = k.exporter.KickOff(t.Context(), access,
			bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Types: []string{"Patient", "Observation"}})
		require.ErrorIs(t, err, bulkexport.ErrForbidden)
		require.ErrorContains(t, err, "Observation")
		access.Types = []string{}
		_, err = k.exporter.KickOff(t.Context(), access, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
		require.ErrorIs(t, err, bulkexport.ErrForbidden)
	})
}

func TestFilesNeedTheTypeStill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 2, "Observation": 2})
		source.lists["Patient"][1] = "broken"
		k := newKit(t, bulkexport.Config{Source: source})
		k.start()
		defer k.stop()
		id := k.kickOff()
		k.wait(id)
		narrower := alice
		narrower.Types = []string{"Observation"}
		for name, want := range map[string]error{
			"Patient.ndjson": bulkexport.ErrInsufficientScope, "Observation.ndjson": nil,
			"errors.ndjson": bulkexport.ErrInsufficientScope, // which names types
		} {
			_, err := k.exporter.OpenFile(t.Context(), narrower, id, name)
			require.ErrorIs(t, err, want, name)
		}
	})
}

// TestResourcesAreCounted: of all that is read, a job counts what was exported.
func TestResourcesAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 5, "Observation": 2})
		source.lists["Patient"][1] = "broken"
		k := newKit(t, bulkexport.Config{
			Source: source,
			Filter: func(_ context.Context, _ bulkexport.Job, name string, resource []byte) ([]byte, error) {
				if name == "Observation" {
					return nil, nil
				}
				return resource, nil
			},
		})
		k.start()
		defer k.stop()
		job := k.wait(k.kickOff()).Job
		require.EqualValues(t, 4, job.Resources)
	})
}

func TestFileThatShrankIsNotServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 2})})
		k.start()
		defer k.stop()
		id := k.kickOff()
		file, err := k.sink.Create(t.Context(), id, k.wait(id).Files[0].Name)
		require.NoError(t, err)
		require.NoError(t, file.Commit())
		_, err = k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
		require.ErrorContains(t, err, "it has 0 bytes and not")
	})
}

func TestKickOffRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
		for parameter, req := range map[string]bulkexport.ExportRequest{
			"level":  {Level: "ward"},
			"_type":  {Level: bulkexport.LevelSystem, Types: []string{"Nothing"}},
			"_since": {Level: bulkexport.LevelSystem, Since: time.Now().Add(6 * time.Minute)},
		} {
			_, err := k.exporter.KickOff(t.Context(), alice, req)
			var fault *bulkexport.RequestError
			require.ErrorAs(t, err, &fault)
			require.Equal(t, parameter, fault.Parameter)
		}
		_, err := k.exporter.KickOff(t.Context(), alice,
			bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Since: time.Now().Add(4 * time.Minute)})
		require.NoError(t, err, "clocks may differ a little")
		k.stop()
		_, err = k.exporter.KickOff(t.Context(), alice, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
		require.ErrorIs(t, err, bulkexport.ErrStopped)
		require.ErrorIs(t, k.exporter.Start(t.Context()), bulkexport.ErrStopped)
	})
}

func TestNewNamesEveryFault(t *testing.T) {
	t.Parallel()
	_, err := bulkexport.New(bulkexport.Config{
		MaxFileBytes: -1, TTL: -1, Lease: time.Millisecond, ResourceTypes: []string{"Patient", "Kitten"},
	})
	for _, want := range []string{"Source", "Store", "Sink", "MaxFileBytes", "TTL", "Lease", "Kitten"} {
		require.ErrorContains(t, err, want)
	}
	require.NotContains(t, err.Error(), "MaxAttempts")
}

// clockedSource knows its own time.
type clockedSource struct {
	countingSource
	at time.Time
}

func (s clockedSource) TransactionTime(context.Context, string) (time.Time, error) { return s.at, nil }

func (clockedSource) Consistency() bulkexport.Consistency { return bulkexport.Snapshot }

func TestTransactionTimeIsTheSourcesAndBoundsEveryRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2026, 1, 31, 8, 0, 0, 123_999_999, time.FixedZone("", 3600))
		source := newListSource(map[string]int{"Patient": 30, "Observation": 30})
		k := newKit(t, bulkexport.Config{Source: clockedSource{countingSource{source}, at}, MaxFileResources: 10})
		k.start()
		defer k.stop()
		since := time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		job, err := k.exporter.KickOff(t.Context(), alice,
			bulkexport.ExportRequest{URL: "http://x/$export", Level: bulkexport.LevelSystem, Since: since})
		require.NoError(t, err)
		status := k.wait(job.ID)
		want := time.Date(2026, 1, 31, 7, 0, 0, 123_000_000, time.UTC)
		require.Equal(t, want, status.Job.TransactionTime, "rounded down to milliseconds")
		require.Equal(t, bulkexport.Snapshot, status.Job.Consistency)
		require.Len(t, source.queries, 6)
		for _, q := range source.queries {
			require.Equal(t, want, q.AsOf)
			require.Equal(t, since, q.Since)
			require.Equal(t, bulkexport.Scope{Tenant: "north", Level: bulkexport.LevelSystem}, q.Scope)
		}

		manifest, err := bulkexport.NewManifest(k.status(k.kickOff()), false, nil).MarshalJSON()
		require.NoError(t, err)
		require.Contains(t, string(manifest), `"output":[],"error":[]`)
		manifest, err = bulkexport.NewManifest(status, false, func(n string) string { return n }).MarshalJSON()
		require.NoError(t, err)
		require.Contains(t, string(manifest), `{"transactionTime":"2026-01-31T07:00:00.123Z","request":"http://x/$export",`+
			`"requiresAccessToken":false,"output":[{"type":"Observation","url":"Observation.ndjson","count":10,`)
	})
}

func TestObserverAndLogTellWhatHappened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var events []string
		var mu sync.Mutex
		note := func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, fmt.Sprintf(format, args...))
		}
		source := newListSource(map[string]int{"Patient": 3})
		source.lists["Patient"][1] = `{"resourceType":"Patient","name":"` + secret
		k := newKit(t, bulkexport.Config{Source: source, MaxFileResources: 2, Observer: bulkexport.Observer{
			JobAccepted: func(_ context.Context, j bulkexport.Job) { note("accepted, now %s", j.State) },
			JobEnded:    func(_ context.Context, j bulkexport.Job) { note("ended %s", j.State) },
			PartEnded: func(_ context.Context, _ bulkexport.Job, a bulkexport.PartAttempt) {
				note("part %s %d", a.Part.Type, a.Part.Processed)
			},
			FileCommitted: func(_ context.Context, _ bulkexport.Job, f bulkexport.File) {
				note("file %s %s %d", f.Kind, f.Type, f.Count)
			},
			FileOpened: func(_ context.Context, _ bulkexport.Job, f bulkexport.OutputFile) {
				note("opened %s", f.PublicName)
			},
		}})
		k.start()
		id := k.kickOff()
		k.wait(id)
		k.content(id, "Patient.ndjson")
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		synctest.Wait()
		k.stop()
		require.ElementsMatch(t, []string{
			"accepted, now accepted", "file output Patient 2", "file error OperationOutcome 1", "part Patient 3",
			"ended completed", "opened Patient.ndjson", "ended deleted",
		}, events)
		require.Contains(t, k.log.String(), "export completed")
		require.Contains(t, k.log.String(), id)
		require.NotContains(t, k.log.String(), secret)
	})
}

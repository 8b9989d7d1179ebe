package bulkexport_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// diary is a store that writes down which of its methods are called.
type diary struct {
	*memstore.Store
	calls []string
}

func (d *diary) note(call string) { d.calls = append(d.calls, call) }

func (d *diary) Job(ctx context.Context, id string) (bulkexport.Job, error) {
	d.note("Job")
	return d.Store.Job(ctx, id)
}

func (d *diary) Parts(ctx context.Context, id string) ([]bulkexport.Part, error) {
	d.note("Parts")
	return d.Store.Parts(ctx, id)
}

func (d *diary) Revision(ctx context.Context, id string) (int64, error) {
	d.note("Revision")
	return d.Store.Revision(ctx, id)
}

func (d *diary) UpdateJob(
	ctx context.Context, id string, fn func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	d.note("UpdateJob")
	return d.Store.UpdateJob(ctx, id, fn)
}

// TestForeignJobsAreLikeNone: somebody else's export is answered as one that does not
// exist, after the same calls of the store, so that even the time that it takes says
// nothing.
func TestForeignJobsAreLikeNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &diary{Store: memstore.New()}
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 2}), Store: store})
		running := k.kickOff()
		_, err := k.exporter.Status(t.Context(), alice, running)
		require.NoError(t, err) // it is known from now on
		completed := k.kickOff()
		failed := k.kickOff()
		_, err = store.Store.UpdateJob(t.Context(), completed, func(j *bulkexport.Job) error {
			j.State, j.ExpiresAt = bulkexport.JobCompleted, j.Deadline
			return nil
		})
		require.NoError(t, err)
		_, err = store.Store.UpdateJob(t.Context(), failed, func(j *bulkexport.Job) error {
			j.State, j.ExpiresAt = bulkexport.JobFailed, j.Deadline
			return nil
		})
		require.NoError(t, err)

		mallory := bulkexport.Access{Caller: bulkexport.Caller{Tenant: alice.Tenant, Client: "mallory"}}
		elsewhere := bulkexport.Access{Caller: bulkexport.Caller{Tenant: "elsewhere", Client: alice.Client}}
		narrow := mallory
		narrow.Types = []string{}
		for name, ask := range map[string]func(access bulkexport.Access, id string) error{
			"status": func(access bulkexport.Access, id string) error {
				_, err := k.exporter.Status(t.Context(), access, id)
				return err
			},
			"page": func(access bulkexport.Access, id string) error {
				_, err := k.exporter.StatusPage(t.Context(), access, id, 2)
				return err
			},
			"file": func(access bulkexport.Access, id string) error {
				_, err := k.exporter.OpenFile(t.Context(), access, id, "Patient.ndjson")
				return err
			},
			"delete": func(access bulkexport.Access, id string) error {
				return k.exporter.Delete(t.Context(), access, id)
			},
		} {
			calls := func(access bulkexport.Access, id string) []string {
				store.calls = nil
				require.ErrorIs(t, ask(access, id), bulkexport.ErrJobNotFound, name)
				return store.calls
			}
			none := calls(mallory, "aaaaaaaaaaaaaaaaaaaaaaaaaa")
			require.NotEmpty(t, none)
			for _, id := range []string{running, completed, failed} {
				for _, access := range []bulkexport.Access{mallory, elsewhere, narrow} {
					require.Equal(t, none, calls(access, id), name)
				}
			}
		}
		_, err = k.exporter.Status(t.Context(), alice, running)
		require.NoError(t, err)
	})
}

// TestFilesThatMayNotBeHadAreAllAlike: a token that covers less than an export learns
// nothing of its other files from their names, nor how far it is.
func TestFilesThatMayNotBeHadAreAllAlike(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 2, "Observation": 2})})
		running := k.kickOff()
		failed := k.kickOff()
		_, err := k.store.UpdateJob(t.Context(), failed, func(j *bulkexport.Job) error {
			j.State, j.ExpiresAt = bulkexport.JobFailed, j.Deadline
			return nil
		})
		require.NoError(t, err)
		alike := func(id string) {
			for _, types := range [][]string{{}, {"Observation"}} {
				narrower := alice
				narrower.Types = types
				for _, name := range []string{
					"Patient.ndjson", "Patient_00002.ndjson", "Device.ndjson", "errors.ndjson", "deleted.ndjson",
				} {
					_, err := k.exporter.OpenFile(t.Context(), narrower, id, name)
					require.ErrorIs(t, err, bulkexport.ErrInsufficientScope, "%s: %v", name, types)
				}
			}
		}
		alike(running)
		alike(failed)
		k.start()
		defer k.stop()
		k.wait(running)
		alike(running)
		_, err = k.exporter.OpenFile(t.Context(), alice, running, "Device.ndjson")
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
	})
}

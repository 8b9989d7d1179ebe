package bulkexport_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

func TestShortOutageIsSurvived(t *testing.T) {
	t.Parallel()
	for _, processes := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			source := newListSource(map[string]int{"Patient": 3})
			up := time.Now().Add(time.Minute)
			source.before = func(context.Context, string, int) error {
				if time.Now().Before(up) {
					return errors.New("database is starting")
				}
				return nil
			}
			k := newKit(t, bulkexport.Config{Source: source})
			for range processes {
				k.open(bulkexport.Config{Source: source})
				k.start()
				defer k.stopper()()
			}
			require.Equal(t, bulkexport.JobCompleted, k.wait(k.kickOff()).Job.State)
		})
	}
}

// slowTypes needs longer to plan than a lease lasts.
type slowTypes struct {
	*listSource
	needs time.Duration
}

func (s slowTypes) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	select {
	case <-time.After(s.needs):
		return s.listSource.Types(ctx, scope)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestOnePlansAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := slowTypes{newListSource(map[string]int{"Patient": 3}), 40 * time.Second}
		cfg := bulkexport.Config{Source: source, MaxAttempts: 1}
		k := newKit(t, cfg)
		for range 4 {
			k.open(cfg)
			k.start()
			defer k.stopper()()
		}
		status := k.wait(k.kickOff())
		require.Equal(t, bulkexport.JobCompleted, status.Job.State)
		require.Equal(t, 1, status.Job.Attempt)
	})
}

func TestStalledPlanIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{
			Source: slowTypes{newListSource(nil), 1000 * time.Hour}, MaxAttempts: 1, StallTimeout: time.Minute,
		})
		k.start()
		defer k.stop()
		require.Equal(t, bulkexport.JobFailed, k.wait(k.kickOff()).Job.State)
	})
}

func TestStalledReadIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3})
		stalls := 1
		source.before = func(ctx context.Context, _ string, n int) error {
			if n == 1 && stalls > 0 {
				stalls--
				<-ctx.Done() // a connection that is half open
				return ctx.Err()
			}
			return nil
		}
		k := newKit(t, bulkexport.Config{Source: source})
		k.start()
		defer k.stop()
		id := k.kickOff()
		pass(9 * time.Minute)
		require.Equal(t, bulkexport.JobRunning, k.status(id).Job.State)
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
		require.Equal(t, source.all("Patient"), k.lines(id))
	})
}

func TestFilterThatDropsAllGivesWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{
			Source: slow(newListSource(map[string]int{"Patient": 300, "Observation": 1})),
			Runner: bulkexport.NewPool(1), MaxFileResources: 10, Slice: 20 * time.Second,
			Filter: func(_ context.Context, _ bulkexport.Job, name string, resource []byte) ([]byte, error) {
				if name == "Patient" {
					return nil, nil
				}
				return resource, nil
			},
		})
		k.start()
		defer k.stop()
		long := k.kickOff("Patient")
		pass(5 * time.Second)
		short := k.kickOff("Observation")
		pass(time.Minute)
		require.Equal(t, bulkexport.JobCompleted, k.status(short).Job.State)
		require.Equal(t, bulkexport.JobRunning, k.status(long).Job.State)
		require.Empty(t, k.wait(long).Files)
	})
}

// documentStore keeps jobs as a database does, where an empty list is as good as
// none.
type documentStore struct{ bulkexport.JobStore }

func (s documentStore) CreateJob(ctx context.Context, job bulkexport.Job) error {
	document, err := json.Marshal(job)
	if err != nil {
		return err
	}
	var stored bulkexport.Job
	if err := json.Unmarshal(document, &stored); err != nil {
		return err
	}
	return s.JobStore.CreateJob(ctx, stored)
}

func TestEmptyListOfTypesDoesNotEscapeNarrowing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 1, "Observation": 1})
		k := newKit(t, bulkexport.Config{Source: source})
		k.open(bulkexport.Config{Source: source, Store: documentStore{k.store}})
		k.start()
		defer k.stop()
		access := alice
		access.Types = []string{"Patient"}
		job, err := k.exporter.KickOff(t.Context(), access,
			bulkexport.ExportRequest{Level: bulkexport.LevelSystem, Types: []string{}})
		require.NoError(t, err)
		k.wait(job.ID)
		require.Equal(t, source.all("Patient"), k.lines(job.ID))
	})
}

// timelessSource does not know the time.
type timelessSource struct{ *listSource }

func (timelessSource) TransactionTime(context.Context, string) (time.Time, error) {
	return time.Time{}, nil
}

func TestNoTransactionTimeIsNoExport(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: timelessSource{newListSource(map[string]int{"Patient": 1})}})
		k.start()
		defer k.stop()
		require.Equal(t, bulkexport.JobFailed, k.wait(k.kickOff()).Job.State)
	})
}

// lateSink has a commit wait, whatever its context says: the request is on its
// way already.
type lateSink struct {
	*memsink.Sink
	gate    chan struct{}
	created *string
}

type lateFile struct {
	bulkexport.FileWriter
	gate chan struct{}
}

func (s lateSink) Create(ctx context.Context, id, name string) (bulkexport.FileWriter, error) {
	*s.created = name
	file, err := s.Sink.Create(context.WithoutCancel(ctx), id, name)
	return lateFile{file, s.gate}, err
}

func (f lateFile) Commit() error {
	<-f.gate
	return f.FileWriter.Commit()
}

func TestFileThatComesAfterDeletionGoesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var name string
		sink := lateSink{memsink.New(), make(chan struct{}), &name}
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 3}), Sink: sink})
		k.start()
		defer k.stop()
		id := k.kickOff()
		synctest.Wait()
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		pass(time.Minute)
		_, err := k.store.Job(t.Context(), id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound, "the lease has lapsed")
		close(sink.gate)
		synctest.Wait()
		_, err = sink.Open(t.Context(), id, name)
		require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
	})
}

// slowStore commits the end of a part at once, and says so later.
type slowStore struct{ bulkexport.JobStore }

func (s slowStore) UpdatePart(
	ctx context.Context, id string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	part, err := s.JobStore.UpdatePart(ctx, id, index, fn)
	if err == nil && part.Done {
		select {
		case <-time.After(1500 * time.Millisecond):
		case <-ctx.Done():
			return bulkexport.Part{}, ctx.Err()
		}
	}
	return part, err
}

// slowParts is slow to tell the parts.
type slowParts struct{ bulkexport.JobStore }

func (s slowParts) Parts(ctx context.Context, id string) ([]bulkexport.Part, error) {
	select {
	case <-time.After(1500 * time.Millisecond):
		return s.JobStore.Parts(ctx, id)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestHeartbeatDoesNotEndAPlanThatIsMade(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
		k.open(bulkexport.Config{
			Source: newListSource(map[string]int{"Patient": 3}), Store: slowParts{k.store}, Lease: time.Minute,
		})
		k.start()
		defer k.stop()
		k.wait(k.kickOff())
		require.Contains(t, k.log.String(), "export planned")
	})
}

func TestErrorsAreCountedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 10})
		for i := range source.lists["Patient"] {
			source.lists["Patient"][i] = "broken"
		}
		k := newKit(t, bulkexport.Config{Source: slow(source), MaxFileResources: 2, Slice: time.Second})
		k.start()
		defer k.stop()
		id := k.kickOff()
		require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
		parts, err := k.store.Parts(t.Context(), id)
		require.NoError(t, err)
		require.EqualValues(t, 10, parts[0].Errors)
		require.EqualValues(t, 10, parts[0].Processed)
		require.Len(t, k.lines(id)["OperationOutcome"], 10)
	})
}

func TestPanicAtTheEndOfAJobIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 1})
		source.before = func(context.Context, string, int) error { return errors.New("broken") }
		k := newKit(t, bulkexport.Config{Source: source, MaxAttempts: 1, Observer: bulkexport.Observer{
			JobEnded: func(context.Context, bulkexport.Job) { panic("metrics") },
		}})
		k.start()
		defer k.stop()
		require.Equal(t, bulkexport.JobFailed, k.wait(k.kickOff()).Job.State)
	})
}

func TestHeartbeatDoesNotEndWhatIsDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ended []error
		k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
		k.open(bulkexport.Config{
			Source: newListSource(map[string]int{"Patient": 3}), Store: slowStore{k.store}, Lease: time.Minute,
			Observer: bulkexport.Observer{
				PartEnded: func(_ context.Context, _ bulkexport.Job, a bulkexport.PartAttempt) { ended = append(ended, a.Err) },
			},
		})
		k.start()
		k.wait(k.kickOff())
		pass(2 * time.Second)
		k.stop()
		require.Equal(t, []error{nil}, ended)
	})
}

func TestFailedTaskWaitsThoughItWasEnqueuedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewPool(1)
		task := partTask("", "a", 0)
		var ended time.Time
		require.NoError(t, pool.Start(t.Context(), func(ctx context.Context, _ bulkexport.Task) error {
			if !ended.IsZero() && !time.Now().After(ended) {
				t.Error("no pause")
			}
			pass(10 * time.Second)
			ended = time.Now()
			return errors.Join(errors.New("not yet"), pool.Enqueue(ctx, task))
		}))
		require.NoError(t, pool.Enqueue(t.Context(), task))
		pass(2 * time.Minute)
		stop(t, pool)
		require.NotZero(t, ended)
	})
}

func TestLogHasNoLineOfAResource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3})
		source.lists["Patient"][1] = string(bytes.Repeat([]byte(secret), 10))
		k := newKit(t, bulkexport.Config{Source: source, Filter: func(
			_ context.Context, _ bulkexport.Job, _ string, resource []byte,
		) ([]byte, error) {
			panic(string(resource))
		}, MaxAttempts: 2})
		k.start()
		defer k.stop()
		require.Equal(t, bulkexport.JobFailed, k.wait(k.kickOff()).Job.State)
		require.Contains(t, k.log.String(), "panic with a string")
		require.NotContains(t, k.log.String(), secret)
	})
}

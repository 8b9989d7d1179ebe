package bulkexport_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// brokenStore is out of reach once it is told so, for updates.
type brokenStore struct {
	bulkexport.JobStore
	broken atomic.Bool
}

func (s *brokenStore) UpdateJob(
	ctx context.Context, id string, fn func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	if s.broken.Load() {
		return bulkexport.Job{}, errGate
	}
	return s.JobStore.UpdateJob(ctx, id, fn)
}

func (s *brokenStore) UpdatePart(
	ctx context.Context, id string, index int, fn func(bulkexport.Job, *bulkexport.Part) error,
) (bulkexport.Part, error) {
	if s.broken.Load() {
		return bulkexport.Part{}, errGate
	}
	return s.JobStore.UpdatePart(ctx, id, index, fn)
}

// stored returns what the sink has of a job.
func (k *kit) stored(id string) (names []string) {
	k.Helper()
	for file, err := range k.sink.Files(k.Context(), id) {
		require.NoError(k, err)
		names = append(names, file.Name)
	}
	return names
}

// put places a file in the sink, as a process does that dies afterwards.
func (k *kit) put(id, name string) {
	k.Helper()
	file, err := k.sink.Create(k.Context(), id, name)
	require.NoError(k, err)
	_, err = io.WriteString(file, "orphan\n")
	require.NoError(k, err)
	require.NoError(k, file.Commit())
}

func TestFileThatWasNotRecordedGoesWithTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 30})
		k := newKit(t, bulkexport.Config{Source: source})
		dying := &brokenStore{JobStore: k.store}
		k.open(bulkexport.Config{Source: slow(source), Store: dying, MaxFileResources: 10})
		k.start()
		id := k.kickOff()
		pass(15 * time.Second)
		dying.broken.Store(true)
		pass(8 * time.Second)
		k.stop()
		require.Len(t, k.stored(id), 2, "one of them was not recorded")

		k.open(bulkexport.Config{Source: source, MaxFileResources: 10, CleanUpInterval: -1})
		k.start()
		defer k.stop()
		k.wait(id)
		synctest.Wait()
		require.Len(t, k.stored(id), 3)
		require.Equal(t, source.all("Patient"), k.lines(id))
	})
}

func TestCleanUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 30})
		var seen []bulkexport.Storage
		k := newKit(t, bulkexport.Config{
			Source: slow(source), MaxFileResources: 10, TTL: time.Hour, CleanUpInterval: -1,
			Observer: bulkexport.Observer{
				CleanedUp: func(_ context.Context, s bulkexport.Storage) { seen = append(seen, s) },
			},
		})
		k.start()
		defer k.stop()
		id := k.kickOff()
		pass(15 * time.Second)
		const (
			dead    = "Patient-0-0-1.output.ndjson" // of an attempt before
			alive   = "Patient-0-1-2.output.ndjson" // it might be recorded yet
			other   = "Patient-7-1-1.output.ndjson"
			foreign = "notes.txt"
			unknown = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
		)
		for _, name := range []string{dead, alive, other, foreign} {
			k.put(id, name)
		}
		k.put(unknown, dead)
		storage, err := k.exporter.CleanUp(t.Context())
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"Patient-0-1-1.output.ndjson", alive, other, foreign}, k.stored(id))
		require.EqualValues(t, 2, storage.Jobs)
		require.EqualValues(t, 5, storage.Files)
		require.EqualValues(t, 1, storage.RemovedFiles)
		require.EqualValues(t, len("orphan\n"), storage.RemovedBytes)
		require.Contains(t, k.log.String(), "orphaned files removed")

		k.wait(id)
		synctest.Wait()
		require.Len(t, k.stored(id), 4, "three files, and what is none of ours")
		require.Contains(t, k.stored(id), foreign)

		pass(30 * time.Minute)
		_, err = k.exporter.CleanUp(t.Context())
		require.NoError(t, err)
		require.Len(t, k.stored(unknown), 1, "it may be somebody else's mistake")
		pass(31 * time.Minute)
		storage, err = k.exporter.CleanUp(t.Context())
		require.NoError(t, err)
		require.Empty(t, k.stored(unknown))
		require.Equal(t, storage, seen[len(seen)-1])
	})
}

func TestFilesOfFailedJobsGoWithTheNextCleanUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := &stubbornSink{Sink: memsink.New()}
		source := newListSource(map[string]int{"Patient": 3, "Observation": 1})
		source.before = func(_ context.Context, name string, n int) error {
			if name == "Patient" && n == 1 {
				return errors.New("broken")
			}
			return nil
		}
		k := newKit(t, bulkexport.Config{Source: source})
		k.sink = sink.Sink
		k.open(bulkexport.Config{Source: source, Sink: sink, CleanUpInterval: -1})
		k.start()
		defer k.stop()
		id := k.kickOff()
		require.Equal(t, bulkexport.JobFailed, k.wait(id).Job.State)
		require.NotEmpty(t, k.stored(id))
		_, err := k.exporter.CleanUp(t.Context())
		require.NoError(t, err)
		require.Empty(t, k.stored(id))
	})
}

// TestStartedExporterCleansUp looks twice: when it starts, and an interval later.
func TestStartedExporterCleansUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var cleaned atomic.Int64
		k := newKit(t, bulkexport.Config{
			Source: newListSource(nil), CleanUpInterval: time.Hour,
			Observer: bulkexport.Observer{CleanedUp: func(context.Context, bulkexport.Storage) { cleaned.Add(1) }},
		})
		k.start()
		defer k.stop()
		synctest.Wait()
		require.EqualValues(t, 1, cleaned.Load())
		pass(time.Hour + time.Second)
		synctest.Wait()
		require.EqualValues(t, 2, cleaned.Load())
	})
}

// stubbornSink does not delete jobs.
type stubbornSink struct{ *memsink.Sink }

func (stubbornSink) DeleteJob(context.Context, string) error { return errors.New("not now") }

// bareSink has no inventory.
type bareSink struct{ bulkexport.OutputSink }

func TestCleanUpNeedsAnInventory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 3})})
		k.open(bulkexport.Config{Source: newListSource(map[string]int{"Patient": 3}), Sink: bareSink{k.sink}})
		k.start()
		defer k.stop()
		require.Equal(t, bulkexport.JobCompleted, k.wait(k.kickOff()).Job.State)
		_, err := k.exporter.CleanUp(t.Context())
		require.ErrorIs(t, err, errors.ErrUnsupported)
	})
}

func TestKickOffsAreRefusedWhileStorageIsFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{
			Source: slow(newListSource(map[string]int{"Patient": 30})), MaxFileResources: 10, MaxStoredBytes: 1000,
		})
		k.start()
		defer k.stop()
		first := k.kickOff()
		second := k.kickOff() // nothing is written yet
		refused := func() {
			t.Helper()
			_, err := k.exporter.KickOff(t.Context(), alice, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
			var limit *bulkexport.LimitError
			require.ErrorAs(t, err, &limit)
			require.Contains(t, limit.Reason, "no room")
			require.Equal(t, 2*time.Minute, limit.RetryAfter)
		}
		pass(15 * time.Second)
		refused()
		k.wait(first)
		k.wait(second)
		refused()
		require.NotZero(t, k.status(first).Job.Size)
		require.NoError(t, k.exporter.Delete(t.Context(), alice, first))
		refused()
		require.NoError(t, k.exporter.Delete(t.Context(), alice, second))
		k.kickOff()
	})
}

// TestFilesStayWhileTheyAreRead reads slowly across the expiry.
func TestFilesStayWhileTheyAreRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 30})
		k := newKit(t, bulkexport.Config{Source: source, TTL: time.Hour})
		k.start()
		defer k.stop()
		id := k.kickOff()
		status := k.wait(id)
		whole := k.content(id, "Patient.ndjson")
		pass(time.Until(status.Job.ExpiresAt) - 10*time.Minute)
		file, err := k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
		require.NoError(t, err)
		require.Equal(t, status.Job.ExpiresAt, file.ExpiresAt)
		var content []byte
		for range 40 {
			piece := make([]byte, 10)
			_, err := io.ReadFull(file, piece)
			require.NoError(t, err)
			content = append(content, piece...)
			pass(30 * time.Second)
		}
		_, err = k.exporter.Status(t.Context(), alice, id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound, "for all others it has expired")
		require.Len(t, k.stored(id), 1, "it is being read")
		rest, err := io.ReadAll(file)
		require.NoError(t, err)
		require.Equal(t, whole, string(append(content, rest...)))
		require.NoError(t, file.Close())
		pass(6 * time.Minute)
		require.Empty(t, k.stored(id))
		_, err = k.store.Job(t.Context(), id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
	})
}

func TestReaderDoesNotKeepFilesForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 3000}), TTL: time.Hour})
		k.start()
		defer k.stop()
		id := k.kickOff()
		k.wait(id)
		file, err := k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
		require.NoError(t, err)
		defer file.Close()
		for range 119 {
			_, err := file.Read(make([]byte, 10))
			require.NoError(t, err)
			pass(time.Minute)
		}
		require.Len(t, k.stored(id), 1)
		for range 3 {
			_, err := file.Read(make([]byte, 10))
			require.NoError(t, err)
			pass(time.Minute)
		}
		require.Empty(t, k.stored(id))
	})
}

func TestDeleteWinsOverReaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 30}), TTL: time.Hour})
		k.start()
		defer k.stop()
		id := k.kickOff()
		k.wait(id)
		pass(59*time.Minute + 50*time.Second)
		file, err := k.exporter.OpenFile(t.Context(), alice, id, "Patient.ndjson")
		require.NoError(t, err)
		defer file.Close()
		require.NoError(t, k.exporter.Delete(t.Context(), alice, id))
		synctest.Wait()
		require.Empty(t, k.stored(id))
		_, err = io.ReadAll(file)
		require.NoError(t, err, "this sink's readers go on")
	})
}

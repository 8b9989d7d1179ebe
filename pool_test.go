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
	"github.com/bulkexport/bulkexport/runner/runnertest"
)

func TestPoolKeepsTheContract(t *testing.T) {
	t.Parallel()
	runnertest.Run(t, runnertest.Harness{
		Open: func(_ *testing.T, s runnertest.Settings) bulkexport.Runner {
			return bulkexport.NewLimitedPool(s.Workers, s.Ceilings)
		},
	})
}

func partTask(tenant, job string, part int) bulkexport.Task {
	return bulkexport.Task{Kind: bulkexport.TaskPart, Tenant: tenant, JobID: job, Part: part}
}

// journal notes tasks in the order in which they are performed.
type journal struct {
	mu    sync.Mutex
	tasks []bulkexport.Task
}

func (j *journal) note(task bulkexport.Task) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.tasks = append(j.tasks, task)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	names := make([]string, len(j.tasks))
	for i, task := range j.tasks {
		names[i] = fmt.Sprintf("%s%d", task.JobID, task.Part)
	}
	return strings.Join(names, " ")
}

// pass lets time go by in a synctest bubble.
func pass(d time.Duration) { <-time.After(d) }

func stop(t *testing.T, runner bulkexport.Runner) {
	t.Helper()
	require.NoError(t, runner.Stop(context.Background()))
}

func TestPoolTakesTurnsBetweenTenants(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewPool(1)
		defer stop(t, pool)
		var done journal
		release := make(chan struct{})
		require.NoError(t, pool.Start(t.Context(), func(_ context.Context, task bulkexport.Task) error {
			done.note(task)
			<-release
			return nil
		}))
		require.NoError(t, pool.Enqueue(t.Context(), partTask("first", "f", 0)))
		synctest.Wait()
		var tasks []bulkexport.Task
		for part := range 4 {
			tasks = append(tasks, partTask("large", "a", part))
		}
		tasks = append(tasks, partTask("small", "b", 0), partTask("small", "c", 0))
		require.NoError(t, pool.Enqueue(t.Context(), tasks...))
		require.NoError(t, pool.Enqueue(t.Context(), tasks...), "what waits is not queued twice")
		close(release)
		synctest.Wait()
		require.Equal(t, "f0 a0 b0 a1 c0 a2 a3", done.String())
	})
}

func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewPool(3)
		defer stop(t, pool)
		var begun journal
		release := make(chan struct{})
		require.NoError(t, pool.Start(t.Context(), func(_ context.Context, task bulkexport.Task) error {
			begun.note(task)
			<-release
			return nil
		}))
		for part := range 5 {
			require.NoError(t, pool.Enqueue(t.Context(), partTask("", "a", part)))
		}
		synctest.Wait()
		require.Equal(t, 2, strings.Count(begun.String(), " "), "three at once: %s", &begun)
		close(release)
		synctest.Wait()
		require.Equal(t, 4, strings.Count(begun.String(), " "), "all five: %s", &begun)
	})
}

func TestPoolPerformsAgainWhatWasEnqueuedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewPool(2)
		defer stop(t, pool)
		task := partTask("", "a", 0)
		running, calls := 0, 0
		var mu sync.Mutex
		require.NoError(t, pool.Start(t.Context(), func(context.Context, bulkexport.Task) error {
			mu.Lock()
			running++
			calls++
			again := calls == 1
			mu.Unlock()
			if again {
				if err := pool.Enqueue(t.Context(), task); err != nil {
					t.Error(err)
				}
				pass(time.Second) // the other worker is free, but must not take it
			}
			mu.Lock()
			defer mu.Unlock()
			if running != 1 {
				t.Errorf("performed %d times at once", running)
			}
			running--
			return nil
		}))
		require.NoError(t, pool.Enqueue(t.Context(), task))
		pass(time.Minute)
		synctest.Wait()
		require.Equal(t, 2, calls)
	})
}

func TestPoolRepeatsFailedTasksWithGrowingPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewPool(1)
		defer stop(t, pool)
		var at []time.Time
		require.NoError(t, pool.Start(t.Context(), func(context.Context, bulkexport.Task) error {
			at = append(at, time.Now())
			if len(at) < 12 {
				return errors.New("not yet")
			}
			return nil
		}))
		require.NoError(t, pool.Enqueue(t.Context(), partTask("", "a", 0)))
		pass(10 * time.Minute)
		synctest.Wait()
		require.Len(t, at, 12)
		for i := 1; i < len(at); i++ {
			pause := at[i].Sub(at[i-1])
			require.Positive(t, pause)
			require.LessOrEqual(t, pause, 45*time.Second)
		}
		require.Greater(t, at[11].Sub(at[10]), at[1].Sub(at[0]))
	})
}

func TestPoolCancelsOneJob(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewPool(1)
		defer stop(t, pool)
		var ended journal
		require.NoError(t, pool.Start(t.Context(), func(ctx context.Context, task bulkexport.Task) error {
			if task.JobID == "a" && task.Kind == bulkexport.TaskPart {
				<-ctx.Done()
				ended.note(task)
				return ctx.Err()
			}
			ended.note(task)
			return nil
		}))
		remove := bulkexport.Task{Kind: bulkexport.TaskDelete, JobID: "a", Part: 9}
		require.NoError(t, pool.Enqueue(t.Context(),
			partTask("", "a", 0), partTask("", "a", 1), partTask("", "b", 0), remove))
		synctest.Wait()
		require.Empty(t, ended.String())
		require.NoError(t, pool.CancelJob(t.Context(), "a"))
		synctest.Wait()
		require.Equal(t, "a0 b0 a9", ended.String())
	})
}

func TestPoolStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ignore := func(context.Context, bulkexport.Task) error { return nil }

		never := bulkexport.NewPool(1)
		stop(t, never)
		stop(t, never)
		require.ErrorIs(t, never.Start(t.Context(), ignore), bulkexport.ErrStopped)
		require.ErrorIs(t, never.Enqueue(t.Context(), partTask("", "a", 0)), bulkexport.ErrStopped)

		pool := bulkexport.NewPool(2)
		started, cancel := context.WithCancel(t.Context())
		slow := make(chan struct{})
		require.NoError(t, pool.Start(started, func(ctx context.Context, _ bulkexport.Task) error {
			<-ctx.Done()
			<-slow
			return ctx.Err()
		}))
		require.Error(t, pool.Start(started, ignore), "it serves one exporter")
		require.NoError(t, pool.Enqueue(t.Context(), partTask("", "a", 0)))
		cancel()
		synctest.Wait()

		impatient, done := context.WithTimeout(context.Background(), time.Second)
		defer done()
		require.ErrorIs(t, pool.Stop(impatient), context.DeadlineExceeded)
		close(slow)
		stop(t, pool)
	})
}

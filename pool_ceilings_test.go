package bulkexport_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func TestPoolKeepsCeilings(t *testing.T) {
	t.Parallel()
	tasks := []bulkexport.Task{
		partTask("large", "a", 0), partTask("large", "a", 1), partTask("large", "a", 2), partTask("large", "b", 3),
		partTask("small", "c", 4), partTask("small", "c", 5),
		{Kind: bulkexport.TaskFinish, Tenant: "small", JobID: "c", Part: 6},
	}
	for name, test := range map[string]struct {
		ceilings bulkexport.Ceilings
		first    string // what begins as long as nothing ends
	}{
		"none":              {bulkexport.Ceilings{}, "a0 a1 a2 b3 c4 c5 c6"},
		"negative":          {bulkexport.Ceilings{Job: -1, Tenant: -1, Total: -1}, "a0 a1 a2 b3 c4 c5 c6"},
		"job":               {bulkexport.Ceilings{Job: 1}, "a0 b3 c4 c6"},
		"tenant":            {bulkexport.Ceilings{Tenant: 2}, "a0 a1 c4 c5 c6"},
		"total":             {bulkexport.Ceilings{Total: 3}, "a0 a1 c4 c6"},
		"job and tenant":    {bulkexport.Ceilings{Job: 2, Tenant: 3}, "a0 a1 b3 c4 c5 c6"},
		"more than workers": {bulkexport.Ceilings{Job: 10, Tenant: 10, Total: 10}, "a0 a1 a2 b3 c4 c5 c6"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				pool := bulkexport.NewLimitedPool(len(tasks), test.ceilings)
				defer stop(t, pool)
				var begun journal
				release := make(chan struct{})
				require.NoError(t, pool.Start(t.Context(), func(_ context.Context, task bulkexport.Task) error {
					begun.note(task)
					<-release
					return nil
				}))
				require.NoError(t, pool.Enqueue(t.Context(), tasks...))
				synctest.Wait()
				require.Equal(t, test.first, sorted(&begun))
				close(release)
				synctest.Wait()
				require.Equal(t, "a0 a1 a2 b3 c4 c5 c6", sorted(&begun))
			})
		})
	}
}

// sorted is for tasks that began at the same time.
func sorted(j *journal) string {
	return strings.Join(slices.Sorted(slices.Values(strings.Fields(j.String()))), " ")
}

func TestPoolTakesTurnsBelowACeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewLimitedPool(3, bulkexport.Ceilings{Total: 1})
		defer stop(t, pool)
		var begun journal
		release := make(chan struct{})
		require.NoError(t, pool.Start(t.Context(), func(_ context.Context, task bulkexport.Task) error {
			begun.note(task)
			<-release
			return nil
		}))
		require.NoError(t, pool.Enqueue(t.Context(), partTask("first", "f", 0)))
		synctest.Wait()
		require.NoError(t, pool.Enqueue(t.Context(),
			partTask("large", "a", 0), partTask("large", "a", 1), partTask("large", "a", 2), partTask("large", "a", 3),
			partTask("small", "b", 0), partTask("small", "c", 0)))
		close(release)
		synctest.Wait()
		require.Equal(t, "f0 a0 b0 a1 c0 a2 a3", begun.String())
	})
}

// A part that fails, is cancelled or ends its goroutine makes room as one that
// succeeds does.
func TestPoolMakesRoomBelowACeiling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pool := bulkexport.NewLimitedPool(2, bulkexport.Ceilings{Job: 1, Tenant: 1, Total: 1})
		defer stop(t, pool)
		var begun journal
		failed := map[bulkexport.Task]bool{}
		require.NoError(t, pool.Start(t.Context(), func(ctx context.Context, task bulkexport.Task) error {
			begun.note(task)
			if failed[task] {
				return nil
			}
			failed[task] = true
			switch task.Part {
			case 0:
				return errors.New("not yet")
			case 1:
				runtime.Goexit()
			case 2:
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}))
		require.NoError(t, pool.Enqueue(t.Context(),
			partTask("", "a", 0), partTask("", "a", 1), partTask("", "b", 2), partTask("", "a", 3)))
		synctest.Wait()
		require.Equal(t, "a0 a1 b2", begun.String())
		require.NoError(t, pool.CancelJob(t.Context(), "b"))
		pass(time.Minute)
		synctest.Wait()
		require.Equal(t, "a0 a1 b2 a3", begun.String()[:11])
		require.Len(t, strings.Fields(begun.String()), 7, "what failed came again: %s", &begun)
	})
}

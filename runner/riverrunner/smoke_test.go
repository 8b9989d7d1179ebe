package riverrunner_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/runner/riverrunner"
)

func TestSmoke(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), pgtest.DSN(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	r, err := riverrunner.New(pool, riverrunner.Config{Workers: 3})
	require.NoError(t, err)
	require.NoError(t, r.Migrate(t.Context()))
	require.NoError(t, r.Migrate(t.Context()))
	var mu sync.Mutex
	seen := map[bulkexport.Task]int{}
	swept := make(chan struct{}, 100)
	require.NoError(t, r.Schedule("sweep", time.Second, func(context.Context) error { swept <- struct{}{}; return nil }))
	done := make(chan struct{}, 10000)
	require.NoError(t, r.Start(t.Context(), func(ctx context.Context, task bulkexport.Task) error {
		mu.Lock()
		defer mu.Unlock()
		seen[task]++
		if task.Part%50 == 7 && seen[task] == 1 {
			return errors.New("not yet")
		}
		done <- struct{}{}
		return nil
	}))
	began := time.Now()
	var tasks []bulkexport.Task
	for i := range 200 {
		tasks = append(tasks, bulkexport.Task{Kind: bulkexport.TaskPart, JobID: "job", Tenant: "t", Part: i})
	}
	tasks = append(tasks, bulkexport.Task{Kind: bulkexport.TaskFinish, JobID: "job", Tenant: "t"})
	require.NoError(t, r.Enqueue(t.Context(), tasks...))
	for range 201 {
		<-done
	}
	t.Log(time.Since(began))
	<-swept
	<-swept
	require.NoError(t, r.Stop(t.Context()))
}

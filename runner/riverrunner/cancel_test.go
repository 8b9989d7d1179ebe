package riverrunner_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/runner/riverrunner"
)

// complaints counts what is logged as a warning, or worse.
type complaints struct {
	slog.Handler

	t     *testing.T
	count atomic.Int64
}

func (c *complaints) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn
}

func (c *complaints) Handle(_ context.Context, record slog.Record) error {
	c.count.Add(1)
	record.Attrs(func(a slog.Attr) bool {
		c.t.Log(record.Message, a)
		return true
	})
	return nil
}

// TestCancellingBesideWork cancels jobs whose parts come and go: nobody may wait for
// one who waits for him, which PostgreSQL would end only after a second.
func TestCancellingBesideWork(t *testing.T) {
	t.Parallel()
	dsn, schema := pgtest.DSN(t), newSchema()
	log := &complaints{Handler: slog.DiscardHandler, t: t}
	performed := make(chan string)
	var first *node
	for range 3 {
		n := open(t, dsn, riverrunner.Config{Workers: 4, Schema: schema, Logger: slog.New(log)})
		require.NoError(t, n.Start(t.Context(), func(ctx context.Context, task bulkexport.Task) error {
			select {
			case performed <- task.JobID:
			case <-ctx.Done():
			}
			return ctx.Err()
		}))
		first = n
	}
	for round := range 15 {
		job := fmt.Sprintf("job%d", round)
		tasks := make([]bulkexport.Task, 300)
		for part := range tasks {
			tasks[part] = bulkexport.Task{Kind: bulkexport.TaskPart, JobID: job, Part: part}
		}
		require.NoError(t, first.Enqueue(t.Context(), tasks...))
		for range 10 + 3*round {
			<-performed
		}
		canceled := make(chan error)
		go func() { canceled <- first.CancelJob(t.Context(), job) }()
		for done := false; !done; {
			select {
			case <-performed:
			case err := <-canceled:
				require.NoError(t, err)
				done = true
			}
		}
	}
	require.Zero(t, log.count.Load())
}

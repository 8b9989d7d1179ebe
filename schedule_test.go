package bulkexport_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// fleet is a runner of which another process does what is regular.
type fleet struct {
	*bulkexport.Pool
	every map[string]time.Duration
	calls map[string]func(context.Context) error
}

func newFleet() *fleet {
	return &fleet{bulkexport.NewPool(2), map[string]time.Duration{}, map[string]func(context.Context) error{}}
}

func (f *fleet) Schedule(name string, every time.Duration, fn func(context.Context) error) error {
	f.every[name], f.calls[name] = every, fn
	return nil
}

func TestRunnerOfManyProcessesSchedules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3})
		runner := newFleet()
		cleaned := 0
		k := newKit(t, bulkexport.Config{
			Source: source, Runner: runner, Lease: 12 * time.Second, TTL: time.Hour,
			Observer: bulkexport.Observer{CleanedUp: func(context.Context, bulkexport.Storage) { cleaned++ }},
		})
		k.start()
		defer k.stop()
		require.Equal(t, map[string]time.Duration{"sweep": 4 * time.Second, "clean up": 10 * time.Minute}, runner.every)
		id := k.kickOff()
		k.wait(id)
		pass(2 * time.Hour)
		require.Zero(t, cleaned, "it is for another process to do")
		_, err := k.store.Job(t.Context(), id)
		require.NoError(t, err, "nobody has swept")

		require.NoError(t, runner.calls["sweep"](t.Context()))
		require.NoError(t, runner.calls["clean up"](t.Context()))
		synctest.Wait()
		require.Equal(t, 1, cleaned)
		_, err = k.store.Job(t.Context(), id)
		require.ErrorIs(t, err, bulkexport.ErrJobNotFound)
	})
}

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func TestTasksAreDeliveredTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		again := errors.New("again")
		perform := repeat(func(context.Context, bulkexport.Task) error {
			<-time.After(time.Second)
			if calls.Add(1) == 4 {
				return again
			}
			return nil
		})
		task := bulkexport.Task{Kind: bulkexport.TaskPart, JobID: "j", Part: 3}
		began := time.Now()
		require.NoError(t, perform(t.Context(), task))
		require.Equal(t, time.Second, time.Since(began), "both at once")
		require.ErrorIs(t, perform(t.Context(), task), again)
		require.Equal(t, 3*time.Second, time.Since(began), "one after the other")
		require.EqualValues(t, 4, calls.Load())
	})
}

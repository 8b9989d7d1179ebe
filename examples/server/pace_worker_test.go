package main

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func TestEachWorkerHasItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		pacers := newWorkerPacers(100)
		began := time.Now()
		var workers sync.WaitGroup
		for range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			workers.Go(func() {
				defer cancel()
				for range 101 {
					_, err := pacers.keep(ctx, bulkexport.Job{}, "Patient", nil)
					require.NoError(t, err)
				}
			})
		}
		workers.Wait()
		require.InDelta(t, 1, time.Since(began).Seconds(), 0.001)
		synctest.Wait()
		require.Empty(t, pacers.pacers, "what has ended is forgotten")
	})
}

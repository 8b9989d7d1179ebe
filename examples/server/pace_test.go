package main

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func TestPaceIsKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		paced := newPacedSource(sourceOf(t, 1001), 2500)
		began := time.Now()
		seen := 0
		for _, err := range paced.Resources(t.Context(), allPatients) {
			require.NoError(t, err)
			seen++
		}
		require.Equal(t, 1001, seen)
		require.InDelta(t, 0.4, time.Since(began).Seconds(), 0.001)
	})
}

func TestPausingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		paced := newPacedSource(sourceOf(t, 3), 0.001)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		var seen []error
		for _, err := range paced.Resources(ctx, allPatients) {
			seen = append(seen, err)
		}
		require.Len(t, seen, 2, "the first resource does not wait, the second one does")
		require.NoError(t, seen[0])
		require.ErrorIs(t, seen[1], context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
	})
}

var allPatients = bulkexport.Query{
	Scope: bulkexport.Scope{Level: bulkexport.LevelSystem},
	Type:  "Patient",
}

func sourceOf(t *testing.T, patients int) *memsource.Source {
	t.Helper()
	source := memsource.New(memsource.Config{})
	for i := range patients {
		_, err := source.Put("", fmt.Appendf(nil, `{"resourceType":"Patient","id":"%d"}`, i))
		require.NoError(t, err)
	}
	return source
}

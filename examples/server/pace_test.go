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
		p := newPacer(2500)
		began := time.Now()
		resource := []byte(`{"resourceType":"Patient"}`)
		for range 1001 {
			kept, err := p.keep(t.Context(), bulkexport.Job{}, "Patient", resource)
			require.NoError(t, err)
			require.Equal(t, resource, kept)
		}
		require.InDelta(t, 0.4, time.Since(began).Seconds(), 0.001)
	})
}

func TestPausingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(0.001)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.NoError(t, p.wait(ctx), "the first one does not wait")
		require.ErrorIs(t, p.wait(ctx), context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
	})
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

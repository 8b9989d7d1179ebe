package gormsource_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// requireCancel runs a call, cancels it once it waits, and returns how long it
// then took to return. waits returns when it does, or when the call is over.
func requireCancel(
	t *testing.T, waits func(over func() bool), call func(context.Context) error,
) time.Duration {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	returned := make(chan error, 1)
	go func() { returned <- call(ctx) }()
	over := func() bool { return len(returned) > 0 }
	waits(over)
	require.False(t, over(), "the call does not wait")
	began := time.Now()
	cancel()
	err := <-returned
	took := time.Since(began)
	require.ErrorIs(t, err, context.Canceled)
	return took
}

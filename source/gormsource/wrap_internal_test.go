package gormsource

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// lateContext has a deadline that has passed, but has not noticed yet.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Unix(0, 0), true }

// TestNetworkIsAheadOfContext has a connection that was not made in time.
func TestNetworkIsAheadOfContext(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, wrap(lateContext{t.Context()}, "read", os.ErrDeadlineExceeded), context.DeadlineExceeded)
	require.NotErrorIs(t, wrap(t.Context(), "read", os.ErrDeadlineExceeded), context.DeadlineExceeded)
}

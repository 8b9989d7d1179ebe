package riverrunner

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPulse(t *testing.T) {
	t.Parallel()
	p := pulse{limit: 10 * time.Second}
	now := time.Now()
	fitAfter := func(pauses ...time.Duration) (fit bool) {
		for _, pause := range pauses {
			now = now.Add(pause)
			fit = p.beat(now)
		}
		return fit
	}
	second := time.Second
	require.False(t, fitAfter(0), "who has just come knows nobody")
	require.False(t, fitAfter(3*second, 3*second, 3*second))
	require.True(t, fitAfter(second))
	require.True(t, fitAfter(4*second), "a sign was late")
	require.False(t, fitAfter(20*second), "the database, or this node, was away")
	require.False(t, fitAfter(second, second, 4*second, 3*second))
	require.True(t, fitAfter(second))
}

package pgtest

import (
	"context"
	"testing"
)

// Outage stops the server and returns the function that starts it again, on the
// same port and with the same data; the test calls it once. Clients are cut off,
// as by a restart for maintenance: what was committed is kept. The test is
// skipped if the server is not private. No other method may be in use meanwhile.
func (c *Cluster) Outage(tb testing.TB) (end func()) {
	tb.Helper()
	if c.private == nil {
		tb.Skip("needs a PostgreSQL server that may be stopped: unset " + envURL)
	}
	c.private.Halt()
	return func() {
		tb.Helper()
		if err := c.private.Resume(context.WithoutCancel(tb.Context())); err != nil {
			tb.Fatalf("pgtest: %v", err)
		}
	}
}

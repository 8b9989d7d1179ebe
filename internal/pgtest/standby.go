package pgtest

import (
	"context"
	"net/url"
	"testing"

	"github.com/bulkexport/bulkexport/internal/pgserver"
)

// Standby is a hot standby of a [Cluster].
type Standby struct{ primary, server *pgserver.Server }

// Standby starts a hot standby, which lasts until the test has ended. That takes about
// a second. The test is skipped if the server is not private.
func (c *Cluster) Standby(tb testing.TB) *Standby {
	tb.Helper()
	if c.private == nil {
		tb.Skip("needs a PostgreSQL server that may have a standby: unset " + envURL)
	}
	// What is committed is sent at once, also if nobody waits for it.
	c.exec(tb, "alter system set wal_writer_delay = '1ms'")
	c.exec(tb, "select pg_reload_conf()")
	standby, err := c.private.Standby(tb.Context())
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := standby.Stop(); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return &Standby{primary: c.private, server: standby}
}

// DSN returns the URL that a database of the cluster has on the standby, after it
// has got there.
func (s *Standby) DSN(tb testing.TB, dsn string) string {
	tb.Helper()
	s.CatchUp(tb)
	u, err := url.Parse(dsn)
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	u.Host = s.server.URL().Host
	return u.String()
}

// CatchUp returns when the standby has replayed all that is committed by now.
func (s *Standby) CatchUp(tb testing.TB) {
	tb.Helper()
	s.must(tb, func(ctx context.Context) error { return s.server.AwaitReplay(ctx, s.primary) })
}

// Pause has the standby stay as it is, for everybody, until Resume or the end of the
// test.
func (s *Standby) Pause(tb testing.TB) {
	tb.Helper()
	tb.Cleanup(func() { s.Resume(tb) })
	s.must(tb, s.server.PauseReplay)
}

// Resume has the standby replay again.
func (s *Standby) Resume(tb testing.TB) {
	tb.Helper()
	s.must(tb, s.server.ResumeReplay)
}

// must does not use the test's context, which has ended when cleanups run.
func (s *Standby) must(tb testing.TB, do func(context.Context) error) {
	tb.Helper()
	if err := do(context.WithoutCancel(tb.Context())); err != nil {
		tb.Fatalf("pgtest: standby: %v", err)
	}
}

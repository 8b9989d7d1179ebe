package bulkexport_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// probedSource takes ten milliseconds for each resource, and as long for a probe as
// its database is set to.
type probedSource struct {
	*listSource
	takes  atomic.Int64
	fails  atomic.Bool
	probes atomic.Int64
	read   atomic.Int64
}

func newProbedSource(n int) *probedSource {
	s := &probedSource{listSource: newListSource(map[string]int{"Patient": n})}
	s.before = func(context.Context, string, int) error {
		pass(10 * time.Millisecond)
		s.read.Add(1)
		return nil
	}
	return s
}

func (s *probedSource) Probe(ctx context.Context) error {
	s.probes.Add(1)
	select {
	case <-time.After(time.Duration(s.takes.Load())):
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.fails.Load() {
		return errGate
	}
	return nil
}

// readIn returns how many resources are read in the time.
func (s *probedSource) readIn(d time.Duration) int64 {
	before := s.read.Load()
	pass(d)
	return s.read.Load() - before
}

func TestSlowDatabaseIsReadSlowly(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(s *probedSource, on bool){
		"slow": func(s *probedSource, on bool) {
			s.takes.Store(0)
			if on {
				s.takes.Store(int64(300 * time.Millisecond))
			}
		},
		"hung": func(s *probedSource, on bool) {
			s.takes.Store(0)
			if on {
				s.takes.Store(int64(time.Hour))
			}
		},
		"failing": func(s *probedSource, on bool) { s.fails.Store(on) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				source := newProbedSource(20_000)
				k := newKit(t, bulkexport.Config{Source: source, StallTimeout: 10 * time.Second})
				k.start()
				defer k.stop()
				id := k.kickOff()
				full := source.readIn(10 * time.Second)
				require.InDelta(t, 1000, full, 20)

				trouble(source, true)
				pass(time.Minute)
				slow := source.readIn(time.Minute)
				require.Less(t, slow, 6*full/20, "less than a twentieth of the pace")
				require.Positive(t, slow)

				trouble(source, false)
				pass(time.Minute)
				require.InDelta(t, full, source.readIn(10*time.Second), 20)
				require.Less(t, source.probes.Load(), int64(250), "once a second")
				require.Equal(t, bulkexport.JobCompleted, k.wait(id).Job.State)
				require.Equal(t, source.all("Patient"), k.lines(id))
				require.Contains(t, k.log.String(), "exports slow down")
				require.Contains(t, k.log.String(), "exports read at full speed")
			})
		})
	}
}

func TestSourceIsNotProbed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newProbedSource(1000)
		source.fails.Store(true)
		k := newKit(t, bulkexport.Config{Source: source, ProbeLimit: -1})
		k.start()
		defer k.stop()
		k.wait(k.kickOff())
		require.Zero(t, source.probes.Load())
	})
}

//go:build unix

package reliability_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// fleet is some servers on one database and one folder. Those that run may be
// asked for at any time; all else is for the goroutine of the test.
type fleet struct {
	t     *testing.T
	args  []string   // of all
	each  [][]string // of each one
	kills int
	// tolerant is set where errors in the servers' logs are to be expected.
	tolerant bool

	mu      sync.Mutex
	servers []*serverproc.Process // nil while it is down
}

// startFleet starts servers, one after the other: the first one loads the
// records.
func startFleet(t *testing.T, args []string, each ...[]string) *fleet {
	t.Helper()
	f := &fleet{t: t, servers: make([]*serverproc.Process, len(each)), each: each}
	f.args = append([]string{"-poll-limit", "-1"}, args...)
	t.Cleanup(func() {
		for i := range f.servers {
			f.end(i, func(p *serverproc.Process) { p.Kill() })
		}
	})
	for i := range f.servers {
		f.start(i)
	}
	return f
}

func (f *fleet) start(i int) {
	f.t.Helper()
	p, err := f.tryStart(i, patience)
	require.NoError(f.t, err)
	f.set(i, p)
}

func (f *fleet) tryStart(i int, within time.Duration) (*serverproc.Process, error) {
	ctx, cancel := context.WithTimeout(f.t.Context(), within)
	defer cancel()
	return serverproc.Start(ctx, exec.Command(os.Getenv(envServer), slices.Concat(f.args, f.each[i])...))
}

// killWhileStarting starts a server and kills it within a time, or when it listens.
func (f *fleet) killWhileStarting(i int, within time.Duration) {
	f.t.Helper()
	p, err := f.tryStart(i, within)
	f.kills++
	if err != nil {
		require.ErrorIs(f.t, err, context.DeadlineExceeded, "it ended by itself")
		return
	}
	p.Kill()
}

// kill ends a server as a crash does.
func (f *fleet) kill(i int) {
	f.t.Helper()
	f.end(i, func(p *serverproc.Process) {
		select {
		case <-p.Ended():
			require.Fail(f.t, "the server has ended by itself", p.Log())
		default:
		}
		p.Kill()
		f.kills++
	})
}

// terminate asks a server to end.
func (f *fleet) terminate(i int) {
	f.t.Helper()
	f.end(i, func(p *serverproc.Process) {
		ctx, cancel := context.WithTimeout(f.t.Context(), patience)
		defer cancel()
		require.NoError(f.t, p.Terminate(ctx), p.Log())
	})
}

// end ends a server, unless it is down. What it has logged must be free of
// errors: an ordinary fault is a warning at most.
func (f *fleet) end(i int, how func(*serverproc.Process)) {
	f.t.Helper()
	p := f.get(i)
	if p == nil {
		return
	}
	f.set(i, nil)
	how(p)
	if !f.tolerant {
		require.NotContains(f.t, p.Log(), "level=ERROR")
	}
	require.NotContains(f.t, p.Log(), "panic")
}

// freeze stops a server where it is, hides it from clients, and returns what
// lets it go on.
func (f *fleet) freeze(i int) (thaw func()) {
	f.t.Helper()
	p := f.get(i)
	require.NoError(f.t, p.Freeze())
	f.set(i, nil)
	return func() {
		f.t.Helper()
		require.NoError(f.t, p.Thaw())
		f.set(i, p)
	}
}

func (f *fleet) set(i int, p *serverproc.Process) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers[i] = p
}

func (f *fleet) get(i int) *serverproc.Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.servers[i]
}

// base returns the base URL of the n-th of the servers that run.
func (f *fleet) base(n int) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var up []string
	for _, p := range f.servers {
		if p != nil {
			up = append(up, p.BaseURL)
		}
	}
	if len(up) == 0 {
		return "", errors.New("all servers are down")
	}
	return up[n%len(up)], nil
}

// any returns the base URL of a server that runs.
func (f *fleet) any() string {
	f.t.Helper()
	base, err := f.base(0)
	require.NoError(f.t, err)
	return base
}

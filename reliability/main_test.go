//go:build unix

package reliability_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

const (
	// envServer is the file of the example server, built once for all tests.
	envServer = "BULKEXPORT_RELIABILITY_SERVER"
	envKills  = "BULKEXPORT_KILLS"
	envSeed   = "BULKEXPORT_KILLS_SEED"
)

const parallelTests = 6

func TestMain(m *testing.M) {
	if os.Getenv(envServer) != "" { // as in a test that runs itself again
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "reliability")
	if err == nil {
		server := filepath.Join(dir, "server")
		if err = serverproc.Build(context.Background(), server); err == nil {
			err = os.Setenv(envServer, server)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Tests mostly wait, for servers and leases: more of them at once than there
	// are processors.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(parallelTests, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// killsWanted is how many kills a test is to survive on each database.
func killsWanted(t *testing.T) int {
	t.Helper()
	raw := os.Getenv(envKills)
	if raw == "" {
		return 10
	}
	n, err := strconv.Atoi(raw)
	require.NoError(t, err, envKills)
	return n
}

// seeded returns a generator whose seed is logged.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if raw := os.Getenv(envSeed); raw != "" {
		var err error
		seed, err = strconv.ParseUint(raw, 10, 64)
		require.NoError(t, err, envSeed)
	}
	t.Logf("%s=%d", envSeed, seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// pause waits for a moment at which something is done to a server.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

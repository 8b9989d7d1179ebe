package riverrunner_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/runner/riverrunner"
	"github.com/bulkexport/bulkexport/runner/runnertest"
)

// node is a runner with a network of its own.
type node struct {
	*riverrunner.Runner
	network *network
	cfg     riverrunner.Config
}

// network are connections that can be cut.
type network struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

var errCut = errors.New("the network is cut")

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, errCut
	}
	conn, err := new(net.Dialer).DialContext(ctx, kind, address)
	if err == nil {
		n.conns = append(n.conns, conn)
	}
	return conn, err
}

func (n *network) down() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = true
	for _, conn := range n.conns {
		_ = conn.Close() // it may be closed already
	}
}

// open returns a node on the schema that cfg names.
func open(t *testing.T, dsn string, cfg riverrunner.Config) *node {
	t.Helper()
	n := &node{network: &network{}, cfg: cfg}
	settings, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	settings.ConnConfig.DialFunc = n.network.dial
	settings.MaxConns = int32(4 + cfg.Workers/2) //nolint:gosec // as the package says
	if cfg.PollOnly {
		settings.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // as behind a pooler
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), settings)
	require.NoError(t, err)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	n.Runner, err = riverrunner.New(pool, cfg)
	require.NoError(t, err)
	require.NoError(t, n.Migrate(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = n.Stop(ctx) // one that was abandoned cannot
		pool.Close()
	})
	return n
}

func newSchema() string { return "s" + strings.ToLower(rand.Text()) }

func TestRunner(t *testing.T) {
	t.Parallel()
	suite(t, pgtest.DSN(t), false)
}

// suite runs the suite, each case in a schema of its own.
func suite(t *testing.T, dsn string, pollOnly bool) {
	t.Helper()
	runnertest.Run(t, runnertest.Harness{
		Open: func(t *testing.T, s runnertest.Settings) bulkexport.Runner {
			t.Helper()
			return open(t, dsn, riverrunner.Config{
				Workers: s.Workers, Ceilings: s.Ceilings, Schema: newSchema(), PollOnly: pollOnly,
			})
		},
		Join: func(t *testing.T, opened bulkexport.Runner, _ runnertest.Settings) bulkexport.Runner {
			t.Helper()
			return open(t, dsn, opened.(*node).cfg) //nolint:forcetypeassert // Open has returned it
		},
		Abandon: func(_ *testing.T, r bulkexport.Runner) {
			r.(*node).network.down() //nolint:forcetypeassert // Open has returned it
		},
	})
}

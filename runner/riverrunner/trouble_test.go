package riverrunner_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/pgtest"
	"github.com/bulkexport/bulkexport/runner/riverrunner"
)

func part(n int) bulkexport.Task {
	return bulkexport.Task{Kind: bulkexport.TaskPart, JobID: "job", Tenant: "tenant", Part: n}
}

// await waits for so many values.
func await[T any](t *testing.T, values <-chan T, n int) []T {
	t.Helper()
	var got []T
	for range n {
		select {
		case value := <-values:
			got = append(got, value)
		case <-time.After(time.Minute):
			require.Fail(t, "it does not come", "after %v", got)
		}
	}
	return got
}

// TestMigrateAtOnce: all nodes of a deployment start at the same time.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	dsn, cfg := pgtest.DSN(t), riverrunner.Config{Schema: newSchema(), Workers: 1}
	var nodes sync.WaitGroup
	for range 4 {
		nodes.Go(func() { open(t, dsn, cfg) })
	}
	nodes.Wait()
}

// TestServerIsRestarted has tasks that run, wait and come while PostgreSQL is down.
func TestServerIsRestarted(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	n := open(t, cluster.DSN(t), riverrunner.Config{Workers: 2})
	begun, release := make(chan int, 100), make(chan struct{})
	require.NoError(t, n.Start(t.Context(), func(_ context.Context, task bulkexport.Task) error {
		begun <- task.Part
		<-release
		return nil
	}))
	require.NoError(t, n.Enqueue(t.Context(), part(0), part(1), part(2), part(3), part(4)))
	first := await(t, begun, 2)

	end := cluster.Outage(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.Error(t, n.Enqueue(ctx, part(5)), "it is not stored, and the caller knows")
	close(release)
	end()
	seen := map[int]bool{first[0]: true, first[1]: true}
	for len(seen) < 5 {
		seen[await(t, begun, 1)[0]] = true
	}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.NoError(c, n.Enqueue(t.Context(), part(5)))
	}, time.Minute, 10*time.Millisecond)
	for !seen[5] {
		seen[await(t, begun, 1)[0]] = true
	}
}

// connect returns a connection for a look at the tables.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

// TestWhatADeadNodeWasAtComesFirst: an export that is nearly done does not wait for
// all that was enqueued later.
func TestWhatADeadNodeWasAtComesFirst(t *testing.T) {
	t.Parallel()
	dsn, cfg := pgtest.DSN(t), riverrunner.Config{Schema: newSchema(), Workers: 1, Lease: time.Second}
	begun, step := make(chan int, 100), make(chan struct{})
	perform := func(_ context.Context, task bulkexport.Task) error {
		begun <- task.Part
		<-step
		return nil
	}
	dying, other := open(t, dsn, cfg), open(t, dsn, cfg)
	require.NoError(t, dying.Start(t.Context(), perform))
	require.NoError(t, dying.Enqueue(t.Context(), part(0)))
	require.Equal(t, []int{0}, await(t, begun, 1))
	for i := range 50 {
		require.NoError(t, dying.Enqueue(t.Context(), part(1+i)))
	}
	dying.network.down()
	require.NoError(t, other.Start(t.Context(), perform))
	conn := connect(t, dsn)
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var waits bool
		err := conn.QueryRow(t.Context(),
			`SELECT EXISTS (SELECT FROM `+cfg.Schema+`.bulkexport_task WHERE part = 0)`).Scan(&waits)
		assert.NoError(c, err)
		assert.True(c, waits)
	}, time.Minute, 20*time.Millisecond)
	close(step)
	// What River has already comes before.
	require.Contains(t, await(t, begun, 6), 0)
}

// TestRowThatNobodyIsAt: River gives up to complete a row when the database is away
// for long. Such a row must not take room for as long as River believes in it.
func TestRowThatNobodyIsAt(t *testing.T) {
	t.Parallel()
	dsn, cfg := pgtest.DSN(t), riverrunner.Config{Schema: newSchema(), Workers: 1, Lease: time.Second}
	cfg.Ceilings.Total = 1
	n := open(t, dsn, cfg)
	done := make(chan int, 100)
	require.NoError(t, n.Start(t.Context(), func(_ context.Context, task bulkexport.Task) error {
		done <- task.Part
		return nil
	}))
	require.NoError(t, n.Enqueue(t.Context(), part(0)))
	require.Equal(t, []int{0}, await(t, done, 1))
	conn := connect(t, dsn)
	// Until River, which completes rows in the background, does not do so once more.
	var undone int64
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		tag, err := conn.Exec(t.Context(), `UPDATE `+cfg.Schema+`.river_job
			SET state = 'running', finalized_at = NULL, attempted_at = now() - interval '1 hour'
			WHERE state = 'completed'`)
		assert.NoError(c, err)
		assert.Zero(c, tag.RowsAffected())
		assert.Positive(c, undone)
		undone += tag.RowsAffected()
	}, time.Minute, 500*time.Millisecond)
	require.NoError(t, n.Enqueue(t.Context(), part(1)))
	require.ElementsMatch(t, []int{0, 1}, await(t, done, 2), "to be sure, it is performed again")
}

// TestStartCanBeRepeated: a host that starts before its database tries again.
func TestStartCanBeRepeated(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t)
	n := open(t, cluster.DSN(t), riverrunner.Config{Workers: 1})
	scheduled, performed := make(chan bool, 100), make(chan bool, 100)
	require.NoError(t, n.Schedule("often", time.Second, func(context.Context) error {
		scheduled <- true
		return nil
	}))
	start := func() error {
		return n.Start(t.Context(), func(context.Context, bulkexport.Task) error {
			performed <- true
			return nil
		})
	}
	end := cluster.Outage(t)
	require.Error(t, start())
	end()
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.NoError(c, start()) }, time.Minute, 10*time.Millisecond)
	require.NoError(t, n.Enqueue(t.Context(), part(0)))
	await(t, performed, 1)
	await(t, scheduled, 1)
}

// TestNothingIsLeft: what is done leaves no row that waits, and River's rows end.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	dsn, schema := pgtest.DSN(t), newSchema()
	n := open(t, dsn, riverrunner.Config{Schema: schema, Workers: 2})
	done := make(chan int, 100)
	require.NoError(t, n.Start(t.Context(), func(_ context.Context, task bulkexport.Task) error {
		done <- task.Part
		return nil
	}))
	for i := range 20 {
		require.NoError(t, n.Enqueue(t.Context(), part(i)))
	}
	await(t, done, 20)
	require.NoError(t, n.Stop(t.Context()))

	var waiting, nodes, unfinished, completed int
	err := connect(t, dsn).QueryRow(t.Context(), `SELECT
		(SELECT count(*) FROM `+schema+`.bulkexport_task), (SELECT count(*) FROM `+schema+`.bulkexport_node),
		(SELECT count(*) FROM `+schema+`.river_job WHERE state NOT IN ('completed', 'cancelled')),
		(SELECT count(*) FROM `+schema+`.river_job WHERE state = 'completed')`).
		Scan(&waiting, &nodes, &unfinished, &completed)
	require.NoError(t, err)
	require.Zero(t, waiting)
	require.Zero(t, nodes)
	require.Zero(t, unfinished)
	require.Equal(t, 20, completed)
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	_, err := riverrunner.New(nil, riverrunner.Config{
		Workers: -1, Ceilings: bulkexport.Ceilings{Job: -1}, PollInterval: 1, Timeout: 1, Schema: "a b",
	})
	for _, field := range []string{"Workers", "Ceilings", "PollInterval", "Timeout"} {
		require.ErrorContains(t, err, "Config."+field)
	}
	_, err = riverrunner.New(nil, riverrunner.Config{Schema: "a b"})
	require.ErrorContains(t, err, "Schema")
}

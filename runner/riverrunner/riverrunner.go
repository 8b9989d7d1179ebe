// Package riverrunner is a [bulkexport.Runner] on River (riverqueue.com), a job
// engine on PostgreSQL: any number of nodes share the work of all exports, and any
// of them may die at any moment.
//
//	runner, err := riverrunner.New(pool, riverrunner.Config{Workers: 4})
//	// ...
//	err = runner.Migrate(ctx)
//	exporter, err := bulkexport.New(bulkexport.Config{Runner: runner, ...})
//
// All nodes are alike: each has an exporter of the same configuration, on the same
// job store and sink, which all of them can reach.
//
// # What River does, and what not
//
// River delivers: it hands tasks to the workers of all nodes, elects a leader,
// tells a node at once that a task was cancelled, and gives back what a node has
// not finished when it stops. What is due is for the job store to say, which is
// the outbox: the exporter's sweep, which the leader makes, enqueues again
// whatever a crash has lost. What a node was at that was killed is handed to others
// once its leases have lapsed ([Config.Lease]), before all that waits, also if it was
// the leader.
//
// Tasks for parts wait in a table of this package, and only as many as the nodes
// have workers for are handed to River, a few more in advance: in turns between
// tenants, and no more than [Config.Ceilings] allow. River alone would work off
// the hundred parts of one export before the first one of the next.
//
// River's tables and these are in a schema of their own. A host that runs River for
// work of its own is not disturbed: each has its leader, and none rescues, or
// discards, what it does not know. Rows hold ids of jobs, tenants, and the errors that
// the exporter logs; no resources and no clients.
//
// # Connections
//
// A node needs a connection of the pool for each worker now and then, one to
// listen, and a few for River's upkeep: 4 and one for each two workers are enough.
// Behind PgBouncer in transaction mode set [Config.PollOnly], and have the pool not
// prepare statements (pgx.QueryExecModeExec).
package riverrunner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/bulkexport/bulkexport"
)

// Config is how a [Runner] works. The zero value is one worker for each processor
// and no ceilings.
type Config struct {
	// Workers is how many parts this node performs at a time. Defaults to one for
	// each processor. What is short (to plan, finish and delete) has workers besides.
	Workers int
	// Ceilings bound the parts that all nodes together perform at a time. They must
	// be the same on all nodes.
	Ceilings bulkexport.Ceilings
	// Schema is the PostgreSQL schema of River's tables and of those of this package:
	// at most 46 letters, digits and _. Defaults to "bulkexport_river".
	Schema string
	// PollOnly does without LISTEN and NOTIFY, which do not pass a pooler in
	// transaction mode. It then takes up to PollInterval until a task is begun, and
	// one that was cancelled ends at the exporter's next heartbeat, within a second.
	PollOnly bool
	// PollInterval is how often a node looks for work that it was not told of.
	// Defaults to one second, with PollOnly to 200 milliseconds.
	PollInterval time.Duration
	// Lease is [bulkexport.Config.Lease] of the exporters: two seconds after it, and no
	// sooner than after five, a node that gives no sign of life counts as dead, and what it
	// was at is handed to others before all else. Defaults to 15 seconds. It must be
	// the same on all nodes.
	Lease time.Duration
	// Timeout is after what time the context of a task ends with
	// [context.DeadlineExceeded], which counts as a failed attempt. It is the last
	// resort: an attempt that is alive ends its slice at the next end of a file, see
	// [bulkexport.Config.Slice], and must get there. What a dead node has left in
	// River is cleared away after it; the work itself is taken over long before.
	// Defaults to one hour. At least one second.
	Timeout time.Duration
	// Logger gets River's warnings and errors. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	c.Workers = cmp.Or(c.Workers, runtime.GOMAXPROCS(0))
	c.Schema = cmp.Or(c.Schema, "bulkexport_river")
	poll := time.Second
	if c.PollOnly {
		poll = 200 * time.Millisecond
	}
	c.PollInterval = cmp.Or(c.PollInterval, poll)
	c.Lease = cmp.Or(c.Lease, 15*time.Second)
	c.Timeout = cmp.Or(c.Timeout, time.Hour)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c Config) validate() error {
	var faults []error
	check := func(ok bool, field, rule string) {
		if !ok {
			faults = append(faults, fmt.Errorf("riverrunner: Config.%s %s", field, rule))
		}
	}
	check(c.Workers > 0, "Workers", "must not be negative")
	check(c.Ceilings.Job >= 0 && c.Ceilings.Tenant >= 0 && c.Ceilings.Total >= 0, "Ceilings", "must not be negative")
	check(c.PollInterval >= fetchCooldown, "PollInterval", "must be at least "+fetchCooldown.String())
	check(c.Lease >= time.Second, "Lease", "must be at least a second")
	check(c.Timeout >= time.Second, "Timeout", "must be at least a second")
	return errors.Join(faults...)
}

// fetchCooldown is the least time between two looks of a node for work, and between two
// words of it that there is some: what comes sooner waits for the next poll. River's
// own default of 100 ms would show in each small export.
const fetchCooldown = time.Millisecond

// River's queues. What is short must not wait for parts, nor they for it.
const (
	partsQueue  = "parts"
	upkeepQueue = "upkeep"
)

// upkeepWorkers is for tasks that are short, or wait for the database.
const upkeepWorkers = 4

// Runner is a [bulkexport.Runner], a [bulkexport.RunnerCanceler] and a
// [bulkexport.RunnerScheduler]. It serves one exporter. Its methods are safe for
// concurrent use.
type Runner struct {
	cfg    Config
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	sql    statements

	mu       sync.Mutex
	perform  func(context.Context, bulkexport.Task) error // nil before Start
	stop     context.CancelFunc                           // ends what this package runs; nil before Start
	stopped  bool
	periodic []schedule
	work     map[int64]bool // the rows of River's that are being performed here
	// wake tells the dispatcher that there may be something to hand over.
	wake    chan struct{}
	running sync.WaitGroup
}

var _ interface {
	bulkexport.Runner
	bulkexport.RunnerCanceler
	bulkexport.RunnerScheduler
} = (*Runner)(nil)

// New returns a runner on the host's pool, which stays the host's to close, after
// [Runner.Stop]. It does not connect. The error names every field that is wrong.
func New(pool *pgxpool.Pool, cfg Config) (*Runner, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &Runner{
		cfg: cfg, pool: pool, sql: statementsIn(cfg.Schema, cfg.aliveFor()),
		wake: make(chan struct{}, 1), work: map[int64]bool{},
	}
	workers := river.NewWorkers()
	if err := r.register(workers); err != nil {
		return nil, fmt.Errorf("riverrunner: %w", err)
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Schema:            cfg.Schema,
		Workers:           workers,
		FetchCooldown:     fetchCooldown,
		FetchPollInterval: cfg.PollInterval,
		PollOnly:          cfg.PollOnly,
		JobTimeout:        cfg.Timeout,
		// Beyond the time-out, or what is alive might be performed twice; and not
		// without end, or what a dead node has left would stay for ever.
		RescueStuckJobsAfter: cfg.Timeout + time.Minute,
		// Only what was interrupted is attempted again.
		MaxAttempts:                 1000,
		CompletedJobRetentionPeriod: time.Hour,
		CancelledJobRetentionPeriod: 24 * time.Hour,
		DiscardedJobRetentionPeriod: 24 * time.Hour,
		Logger:                      slog.New(quiet{cfg.Logger.Handler()}),
		Queues: map[string]river.QueueConfig{
			partsQueue:  {MaxWorkers: cfg.Workers},
			upkeepQueue: {MaxWorkers: upkeepWorkers},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("riverrunner: %w", err)
	}
	r.client = client
	return r, nil
}

// Start implements [bulkexport.Runner]. The tables must be there, see
// [Runner.Migrate].
func (r *Runner) Start(ctx context.Context, fn func(context.Context, bulkexport.Task) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.stopped:
		return bulkexport.ErrStopped
	case r.perform != nil:
		return errors.New("riverrunner: the runner is started already")
	}
	r.perform = fn
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	if err := r.begin(ctx); err != nil {
		stop()
		r.running.Wait()
		r.client.PeriodicJobs().Clear()
		r.perform = nil
		return fmt.Errorf("riverrunner: start: %w", err)
	}
	r.stop = stop
	r.running.Go(func() { r.dispatchUntil(ctx) })
	return nil
}

// begin starts all but the dispatcher.
func (r *Runner) begin(ctx context.Context) error {
	// Before the first task, which would look like one of a dead node.
	if err := r.sign(ctx); err != nil {
		return err
	}
	if err := r.startPeriodic(ctx); err != nil {
		return err
	}
	// River's context does not end with this one: StopAndCancel ends it, so that what
	// is interrupted goes back to the queue.
	return r.client.Start(context.WithoutCancel(ctx))
}

// Stop implements [bulkexport.Runner]. What was being performed is given back, and
// another node goes on with it.
func (r *Runner) Stop(ctx context.Context) error {
	r.mu.Lock()
	r.stopped = true
	stop := r.stop
	r.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	if err := r.client.StopAndCancel(ctx); err != nil {
		return err
	}
	if err := wait(ctx, &r.running); err != nil {
		return err
	}
	r.leave(ctx)
	return nil
}

// wait waits for a group, or until ctx ends.
func wait(ctx context.Context, group *sync.WaitGroup) error {
	ended := make(chan struct{})
	go func() {
		group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Enqueue implements [bulkexport.Runner]. Tasks are stored when it returns; any node
// may perform them, whether or not this one is started.
func (r *Runner) Enqueue(ctx context.Context, tasks ...bulkexport.Task) error {
	r.mu.Lock()
	stopped, started := r.stopped, r.stop != nil
	r.mu.Unlock()
	switch {
	case stopped:
		return bulkexport.ErrStopped
	case len(tasks) == 0:
		return nil
	}
	if err := r.store(ctx, tasks); err != nil {
		return fmt.Errorf("riverrunner: enqueue: %w", err)
	}
	if started {
		r.nudge()
		return nil
	}
	if err := r.dispatch(ctx); err != nil {
		return fmt.Errorf("riverrunner: enqueue: %w", err)
	}
	return nil
}

// CancelJob implements [bulkexport.RunnerCanceler], for all nodes.
func (r *Runner) CancelJob(ctx context.Context, jobID string) error {
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		// One who dispatches completes a row of River's and then takes tasks, which is the
		// other order: they would wait for each other.
		if _, err := tx.Exec(ctx, r.sql.lock); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, r.sql.dropWaiting, jobID); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, r.sql.unfinished, jobID)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		return r.cancel(ctx, tx, ids)
	})
	if err != nil {
		return fmt.Errorf("riverrunner: cancel job %s: %w", jobID, err)
	}
	return nil
}

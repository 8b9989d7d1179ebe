package riverrunner

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/bulkexport/bulkexport"
)

// store stores tasks that neither wait already nor are with River to be begun. One
// that is being performed is stored: it may have read what was before the reason to
// enqueue it again.
func (r *Runner) store(ctx context.Context, tasks []bulkexport.Task) error {
	kinds, jobs := make([]string, len(tasks)), make([]string, len(tasks))
	tenants, parts := make([]string, len(tasks)), make([]int32, len(tasks))
	for i, task := range tasks {
		kinds[i], jobs[i], tenants[i], parts[i] = string(task.Kind), task.JobID, task.Tenant, int32(task.Part) //nolint:gosec,lll // parts are counted
	}
	_, err := r.pool.Exec(ctx, r.sql.enqueue, kinds, jobs, tenants, parts)
	return err
}

// storeAgain stores a task that failed. What was enqueued meanwhile waits too.
func (r *Runner) storeAgain(ctx context.Context, kind bulkexport.TaskKind, w work, pause time.Duration) error {
	_, err := r.pool.Exec(ctx, r.sql.enqueueAgain,
		string(kind), w.Job, w.Tenant, w.Part, w.Failures, pause.Seconds())
	return err
}

// nudge has the dispatcher look.
func (r *Runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// signInterval is how often a node gives a sign of life. It also bounds how late a
// task that waits for its pause comes.
const signInterval = time.Second

// aliveFor is how long a node counts as alive without one: until its leases have
// lapsed. Who took over sooner would find its parts taken.
func (c Config) aliveFor() time.Duration {
	return max(c.Lease.Truncate(time.Second)+2*time.Second, 5*time.Second)
}

// dispatchUntil keeps River supplied until ctx ends.
func (r *Runner) dispatchUntil(ctx context.Context) {
	ticker := time.NewTicker(signInterval)
	defer ticker.Stop()
	own := pulse{limit: r.cfg.aliveFor()}
	for {
		err := r.dispatch(ctx)
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-ticker.C:
			err = errors.Join(err, r.live(ctx, &own))
		}
		if err != nil && ctx.Err() == nil {
			r.cfg.Logger.WarnContext(ctx, "hand over tasks; it is tried again soon", "error", err)
		}
	}
}

// live gives a sign and looks for nodes that give none.
func (r *Runner) live(ctx context.Context, own *pulse) error {
	err := r.sign(ctx)
	if err != nil || !own.beat(time.Now()) {
		return err
	}
	return r.reclaim(ctx)
}

// pulse tells whether a node is fit to say that others are dead: only if it has given
// signs itself for as long as they have to be missing. After the database was away
// nobody has, and the first one to be back must not take everybody's work.
type pulse struct {
	limit       time.Duration // after which nodes count as dead
	first, last time.Time
}

// beat notes a sign.
func (p *pulse) beat(now time.Time) (fit bool) {
	if now.Sub(p.last) > p.limit/2 {
		p.first = now
	}
	p.last = now
	return now.Sub(p.first) >= p.limit
}

// sign says that this node is alive.
func (r *Runner) sign(ctx context.Context) error {
	_, err := r.pool.Exec(ctx, r.sql.sign, r.client.ID(), r.cfg.Workers)
	return err
}

// reclaim has what dead nodes were at performed by others. One that only seems to be
// dead, and still performs it too, is for the job store to fence out.
func (r *Runner) reclaim(ctx context.Context) error {
	rows, err := r.pool.Query(ctx, r.sql.orphans, r.client.ID(), r.atWork())
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(ids) == 0 {
		return err
	}
	return r.dispatchAfter(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, r.sql.reclaim, ids); err != nil {
			return err
		}
		return r.cancel(ctx, tx, ids)
	})
}

// atWork returns the rows of River's that this node is at, which is not nil: that would be
// NULL.
func (r *Runner) atWork() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.AppendSeq([]int64{}, maps.Keys(r.work))
}

// cancel cancels rows of River's, as far as they are still there.
func (r *Runner) cancel(ctx context.Context, tx pgx.Tx, ids []int64) error {
	for _, id := range ids {
		if _, err := r.client.JobCancelTx(ctx, tx, id); err != nil && !errors.Is(err, river.ErrNotFound) {
			return err
		}
	}
	return nil
}

// leave says that this node is no more. Without that others find out.
func (r *Runner) leave(ctx context.Context) {
	if _, err := r.pool.Exec(ctx, r.sql.leave, r.client.ID()); err != nil {
		r.cfg.Logger.WarnContext(ctx, "sign off; other nodes will notice", "error", err)
	}
}

// dispatch hands to River what may be begun now, or soon.
func (r *Runner) dispatch(ctx context.Context) error {
	return r.dispatchAfter(ctx, func(pgx.Tx) error { return nil })
}

// dispatchAfter dispatches after something else, all or nothing. One node at a time
// does, or two of them would hand over more than the ceilings allow.
func (r *Runner) dispatchAfter(ctx context.Context, first func(pgx.Tx) error) error {
	return pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, r.sql.lock); err != nil {
			return err
		}
		if err := first(tx); err != nil {
			return err
		}
		taken, err := r.take(ctx, tx)
		if err != nil || len(taken) == 0 {
			return err
		}
		_, err = r.client.InsertManyFastTx(ctx, tx, taken)
		return err
	})
}

// take takes out of the table what may be begun, as rows of River's.
func (r *Runner) take(ctx context.Context, tx pgx.Tx) ([]river.InsertManyParams, error) {
	ceilings := r.cfg.Ceilings
	rows, err := tx.Query(ctx, r.sql.take, ceilings.Job, ceilings.Tenant, ceilings.Total)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (river.InsertManyParams, error) {
		var kind bulkexport.TaskKind
		var w work
		err := row.Scan(&kind, &w.Job, &w.Tenant, &w.Part, &w.Failures)
		args, queue := argsOf(kind, w)
		return river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{Queue: queue}}, err
	})
}

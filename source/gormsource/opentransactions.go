package gormsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// hostPatience is how long what has to be waited for may take.
const hostPatience = 10 * time.Second

// postgresNow returns a time before the beginning of each transaction that is
// open and may write. One that it waits for until it is over does not count.
//
// The time is taken first: what begins after the look begins later than that.
func postgresNow(ctx context.Context, pool *sql.DB, wait time.Duration) (time.Time, error) {
	var now time.Time
	var standby bool
	err := pool.QueryRowContext(ctx, `SELECT clock_timestamp(), pg_is_in_recovery()`).Scan(&now, &standby)
	if err == nil && standby {
		err = errors.New("the server is a standby, which cannot tell the open transactions of its primary: " +
			"only TablesConfig.Replica may be one")
	}
	if err != nil {
		return time.Time{}, err
	}
	began := time.Now()
	open, err := openTransactions(ctx, pool)
	for pause := 5 * time.Millisecond; err == nil; pause = min(2*pause, 200*time.Millisecond) {
		hidden := open.hidden()
		switch waited := time.Since(began); {
		case hidden == nil && (len(open) == 0 || waited >= wait):
			return open.before(now), nil
		case hidden != nil && waited >= max(wait, hostPatience):
			return time.Time{}, hidden
		}
		if err = sleep(ctx, pause); err == nil {
			err = open.update(ctx, pool)
		}
	}
	return time.Time{}, err
}

// sleep returns early, with the context's error, if that ends.
func sleep(ctx context.Context, pause time.Duration) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transactions maps those that are open to what is known of them. An id is never
// given twice, and a transaction that is prepared keeps it.
type transactions map[string]transaction

type transaction struct {
	began    sql.NullTime
	prepared bool
}

var (
	errHidden = errors.New("a transaction stays open whose beginning the role may not see: " +
		"GRANT pg_read_all_stats to it")
	errPrepared = errors.New("a transaction stays prepared: commit it or roll it back (see pg_prepared_xacts)")
)

// hidden returns an error if there is one whose beginning is not known.
func (open transactions) hidden() error {
	for _, t := range open {
		switch {
		case t.began.Valid:
		case t.prepared:
			return errPrepared
		default:
			return errHidden
		}
	}
	return nil
}

// before returns the beginning of the oldest one if that is earlier.
func (open transactions) before(t time.Time) time.Time {
	for _, other := range open {
		if other.began.Time.Before(t) {
			t = other.began.Time
		}
	}
	return t
}

// update drops what is over by now.
func (open transactions) update(ctx context.Context, pool *sql.DB) error {
	still, err := openTransactions(ctx, pool)
	if err != nil {
		return err
	}
	for id, t := range open {
		now, ok := still[id]
		switch {
		case !ok:
			delete(open, id)
		case !t.began.Valid:
			open[id] = now
		}
	}
	return nil
}

// Everybody may see all locks, which tell more than pg_stat_activity does: each
// transaction holds one on its own id, also if it has written nothing so far,
// also if it is another role's. A session that is idle holds none. The locks of a
// prepared one belong to no process. They are read once, since between two reads
// a transaction could pass from one kind to the other.
//
// Whether a transaction will write cannot be told, only whether its role can. To
// ask for privileges on the tables themselves would not do: triggers, rules,
// views and foreign keys write with those of others. What has no role is the
// server's own, such as autovacuum.
const openTransactionsQuery = `
WITH locks AS MATERIALIZED (
	SELECT virtualtransaction AS id, locktype, database, mode, pid FROM pg_locks WHERE granted
), here AS (
	SELECT oid FROM pg_database WHERE datname = current_database()
)
SELECT l.id, a.xact_start, false
FROM locks l JOIN pg_stat_activity a ON a.pid = l.pid JOIN here ON here.oid = a.datid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.pid <> pg_backend_pid()
	AND a.usesysid IS NOT NULL AND (EXISTS (
		SELECT FROM pg_roles m, pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE pg_has_role(a.usesysid, m.oid, 'MEMBER')
			AND c.relkind IN ('r', 'p', 'v', 'f') AND c.relpersistence <> 't'
			AND n.nspname NOT IN ('pg_catalog', 'information_schema')
			AND (has_table_privilege(m.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
				OR has_any_column_privilege(m.oid, c.oid, 'INSERT, UPDATE'))
	) OR EXISTS (
		SELECT FROM pg_proc p WHERE p.prosecdef AND has_function_privilege(a.usesysid, p.oid, 'EXECUTE')
	))
UNION ALL
SELECT DISTINCT l.id, NULL::timestamptz, true
FROM locks l JOIN here ON here.oid = l.database
WHERE l.pid IS NULL AND l.locktype = 'relation' AND l.mode IN ('RowExclusiveLock', 'AccessExclusiveLock')`

func openTransactions(ctx context.Context, pool *sql.DB) (transactions, error) {
	rows, err := pool.QueryContext(ctx, openTransactionsQuery)
	if err != nil {
		return nil, fmt.Errorf("list open transactions: %w", err)
	}
	defer func() { _ = rows.Close() }()
	open := transactions{}
	for rows.Next() {
		var id string
		var t transaction
		if err := rows.Scan(&id, &t.began, &t.prepared); err != nil {
			return nil, err
		}
		open[id] = t
	}
	return open, rows.Err()
}

package gormsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// The clock of a Repository is what makes transactionTime safe: at the moment
// T that TransactionTime returns, each change stamped at or before T has been
// committed, and none that commits later is stamped so.
//
// A change is stamped by the transaction that makes it, and TransactionTime
// moves the clock in a transaction of its own. Between the two only one order
// is possible:
//
//   - SQLite has one writer at a time. Either begins by writing the clock's row,
//     so one waits until the other is committed. The row holds the last stamp
//     or T, and the next stamp is later.
//   - PostgreSQL has many. A writer holds a shared advisory lock from before it
//     takes its stamp until it is committed; writers do not wait for each other.
//     TransactionTime takes the same lock exclusively, hence waits for the
//     writers in flight, and those that come meanwhile for it. The row holds the
//     last T, which the next stamps exceed; a stamp is at most a microsecond
//     beyond the row or the time of day, so T is at least a millisecond beyond.
//     All processes go by the clock of the database.
//
// T is a whole millisecond, rounded up, because the exporter would round it
// down and miss the changes of that millisecond. Should the time of day jump
// back, stamps and T go on slowly from where they were.

// stamp is what a writing transaction gets from the clock.
type stamp struct {
	at    int64 // microseconds since 1970
	batch int64 // never given twice
}

// TransactionTime implements [bulkexport.SourceClock]. It is one for all
// tenants. It waits for writes in flight, which take milliseconds, for 10 seconds
// at most, and then for the replica, if there is one.
func (r *Repository) TransactionTime(ctx context.Context, _ string) (time.Time, error) {
	t, err := r.cut(ctx)
	if err == nil && r.replica != nil {
		err = r.replica.await(ctx, t.UnixMicro())
	}
	return t, wrap(ctx, "transaction time", err)
}

// settle moves the clock on to a moment that it has not told before, if it has not.
func (r *Repository) settle(ctx context.Context, moment int64) error {
	var at int64
	err := r.scan(ctx, repositoryPosition, nil, &at)
	if err == nil && at < moment {
		_, err = r.cut(ctx)
	}
	return err
}

func (r *Repository) cut(ctx context.Context) (time.Time, error) {
	at, err := r.dialect.cut(ctx, r.session)
	return time.UnixMicro(at).UTC(), err
}

func sqliteStamp(tx *gorm.DB) (stamp, error) {
	const sql = `UPDATE bulkexport_clock SET stamp = max(stamp + 1, ?), batch = batch + 1 RETURNING stamp, batch`
	var s stamp
	err := tx.Raw(sql, time.Now().UnixMicro()).Row().Scan(&s.at, &s.batch)
	return s, err
}

func sqliteCut(ctx context.Context, db session) (at int64, err error) {
	const query = `UPDATE bulkexport_clock SET stamp = (max(stamp, ?) + 999) / 1000 * 1000 RETURNING stamp`
	err = db.dialect.manyRows.withWriteLock(ctx, db.pool, hostPatience, "COMMIT", func(tx *sql.Conn) error {
		return tx.QueryRowContext(ctx, query, time.Now().UnixMicro()).Scan(&at)
	})
	return at, err
}

// The lock is the clock's row in the table of the search path, so that two
// schemas in one database do not wait for each other.
const postgresLock = `((1648715887::bigint << 32) + 'bulkexport_clock'::regclass::oid::bigint)`

func postgresStamp(tx *gorm.DB) (stamp, error) {
	// Two statements: the second one must see what was committed while the first
	// one waited. A writer that is frozen would keep all exports from being
	// planned, so the server ends a transaction that pauses here too.
	const lock = `SELECT set_config('idle_in_transaction_session_timeout', '5s', true),
		pg_advisory_xact_lock_shared(` + postgresLock + `)`
	if err := tx.Exec(lock).Error; err != nil {
		return stamp{}, err
	}
	const sql = `SELECT greatest(stamp + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint),
		nextval('bulkexport_batch') FROM bulkexport_clock`
	var s stamp
	err := tx.Raw(sql).Row().Scan(&s.at, &s.batch)
	return s, err
}

func postgresCut(ctx context.Context, db session) (at int64, err error) {
	err = db.gorm.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		at, err = postgresCutIn(tx)
		return err
	}, db.dialect.tx)
	var coded *pgconn.PgError
	if errors.As(err, &coded) && coded.Code == "25006" { // read_only_sql_transaction
		err = fmt.Errorf("%w: only RepositoryConfig.Replica may be a standby", err)
	}
	return at, err
}

// postgresCutIn has the server end a transaction that pauses, which it does for
// milliseconds: a process that is frozen here, or cut off without a word, would
// keep all writers waiting.
func postgresCutIn(tx *gorm.DB) (at int64, err error) {
	for _, sql := range []string{
		`SET LOCAL idle_in_transaction_session_timeout = '5s'`,
		`SET LOCAL lock_timeout = '10s'`,
		`SELECT pg_advisory_xact_lock(` + postgresLock + `)`,
	} {
		if err := tx.Exec(sql).Error; err != nil {
			return 0, err
		}
	}
	const sql = `UPDATE bulkexport_clock SET stamp = greatest(stamp + 1000,
		ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint * 1000) RETURNING stamp`
	err = tx.Raw(sql).Row().Scan(&at)
	return at, err
}

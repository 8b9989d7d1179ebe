package gormstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bulkexport/bulkexport"
)

// The bounds of what is removed of rows that owe nothing: a batch with some Take,
// at most once in this time, but at once again where a batch was full.
const (
	sweepInterval = time.Minute
	sweepRows     = 1000
)

// limits are the statements of a limiter. The first three are about the key $1.
type limits struct {
	// take adds the cost $2, and changes no row where that is more than the burst $3.
	// It is atomic by itself.
	take string
	// owed says how much is, in microseconds.
	owed string
	// forget removes what is owed for longer than $2.
	forget string
	// sweep removes up to $1 rows that owe nothing.
	sweep string
	// sweepAt is when to do so again: a time.Duration since begun, which no change of
	// the clock puts off.
	sweepAt atomic.Int64
	begun   time.Time
}

func newLimits(d dialect) *limits {
	sql := func(query string) string {
		return strings.NewReplacer("{now}", d.now, "{skip locked}", d.skipLocked).Replace(query)
	}
	return &limits{
		begun: time.Now(),
		take: sql(`INSERT INTO bulkexport_limits AS l (key, free_at) VALUES ($1, {now} + $2)
			ON CONFLICT (key) DO UPDATE SET free_at = CASE WHEN l.free_at > {now} THEN l.free_at ELSE {now} END + $2
			WHERE l.free_at + $2 <= {now} + $3`),
		owed:   sql("SELECT free_at - {now} FROM bulkexport_limits WHERE key = $1"),
		forget: sql("DELETE FROM bulkexport_limits WHERE key = $1 AND free_at > {now} + $2"),
		// What a row is compared with is a subquery, and so evaluated once: else no index
		// would help. The lock looks at the row as it is by then.
		sweep: sql(`DELETE FROM bulkexport_limits WHERE key IN (
			SELECT key FROM bulkexport_limits WHERE free_at < (SELECT {now}) ORDER BY free_at LIMIT $1{skip locked})`),
	}
}

// Take implements [bulkexport.Limiter]. It counts by the clock of the PostgreSQL
// server, or by that of this machine with SQLite, and keeps hashes of keys only. What
// owes nothing any more is removed by later calls.
func (s *Store) Take(ctx context.Context, key string, cost, burst time.Duration) (wait time.Duration, err error) {
	const name = "take"
	hash := sha256.Sum256([]byte(key))
	err = s.inTurn(ctx, name, func() error {
		err := s.read(ctx, name, func(ctx context.Context, db session) (err error) {
			wait, err = s.limits.on(ctx, db, hex.EncodeToString(hash[:]), cost, burst)
			return err
		})
		if err == nil {
			s.sweepLimits(ctx)
		}
		return err
	})
	return wait, err
}

func (l *limits) on(
	ctx context.Context, db session, key string, cost, burst time.Duration,
) (wait time.Duration, err error) {
	result, err := db.ExecContext(ctx, l.take, key, cost.Microseconds(), burst.Microseconds())
	if err != nil {
		return 0, err
	}
	if taken, err := result.RowsAffected(); err != nil || taken > 0 {
		return 0, err
	}
	var owed int64
	err = db.QueryRowContext(ctx, l.owed, key).Scan(&owed)
	if errors.Is(err, sql.ErrNoRows) {
		owed, err = 0, nil // swept out just now
	}
	if err == nil && owed > bulkexport.MaxBurst.Microseconds() {
		owed = 0
		_, err = db.ExecContext(ctx, l.forget, key, bulkexport.MaxBurst.Microseconds())
	}
	wait = time.Duration(owed)*time.Microsecond + cost - burst
	// It may be over by now: then the next call is in time.
	return max(wait+time.Millisecond-1, time.Millisecond).Truncate(time.Millisecond), err
}

// sweepLimits removes rows that owe nothing, now and then. Whether that succeeds is no
// matter of the call that has brought it about: another will.
func (s *Store) sweepLimits(ctx context.Context) {
	now, due := time.Since(s.limits.begun), s.limits.sweepAt.Load()
	if int64(now) < due || !s.limits.sweepAt.CompareAndSwap(due, int64(now+sweepInterval)) {
		return
	}
	_ = s.dialect.read(ctx, s.db, func(ctx context.Context, db session) error {
		result, err := db.ExecContext(ctx, s.limits.sweep, sweepRows)
		if err != nil {
			return err
		}
		if removed, err := result.RowsAffected(); err != nil || removed < sweepRows {
			return err
		}
		s.limits.sweepAt.Store(0)
		return nil
	})
}

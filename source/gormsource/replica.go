package gormsource

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
)

// A standby shows the state that its primary had some time ago. What a query on it
// misses, no later one of the same export would bring, so each statement that reads
// a moment also asks, in its own snapshot, whether all of that moment is there: the
// standby must have got to a position that the primary was at when the moment was
// settled. The statement fails if not, and is repeated until it does not. So any
// number of processes and standbys may take part, behind any pooler: what a
// connection was asked before does not count.
//
// Positions are numbers that a standby tells by a query:
//
//   - That of a Repository is the time in the row of its clock. The transaction that
//     moves it to transactionTime comes after all that write something earlier, so
//     the moment itself is its position.
//   - For tables of a host it is the number of the last transaction that the snapshot
//     knows to be over. One that begins when all the others of the moment are over is
//     replayed after them, and so are all with higher numbers.

// ErrReplicaBehind means that a replica has not got in time to where a query begins.
// It is a passing error: the attempt at the plan or part is made again.
var ErrReplicaBehind = errors.New("the replica is behind")

const defaultReplicaWait = time.Minute

const (
	repositoryPosition = `SELECT stamp FROM bulkexport_clock`
	tablesPosition     = `SELECT txid_snapshot_xmax(txid_current_snapshot()) - 1`
)

// replica is a handle to read moments from.
type replica struct {
	session
	position string
	wait     time.Duration
	// settle, if not nil, sees to it that the primary is at a position.
	settle func(ctx context.Context, position int64) error
}

// newReplica returns nil if there is no handle.
func newReplica(db *gorm.DB, position string, wait time.Duration) (*replica, error) {
	if db == nil {
		return nil, nil
	}
	s, err := newSession(db)
	if err != nil {
		return nil, fmt.Errorf("gormsource: replica: %w", err)
	}
	if db.Name() != "postgres" {
		return nil, fmt.Errorf("gormsource: %s has no replicas, only postgres has", db.Name())
	}
	return &replica{session: s, position: position, wait: cmp.Or(wait, defaultReplicaWait)}, nil
}

// from returns a session for statements that need the replica to be at a position.
func (r *replica) from(position int64) session {
	s := r.session
	s.gate = &gate{replica: r, from: position}
	return s
}

// await returns when the replica is at a position.
func (r *replica) await(ctx context.Context, position int64) error {
	return r.from(position).gate.await(ctx, time.Now().Add(r.wait))
}

// gate lets statements through when the replica has got to a position.
type gate struct {
	*replica
	from int64
}

// behindMark is in the error of a statement that came too early.
const behindMark = "bulkexport: replica is at "

// guard adds the condition to a statement. SQL has no way to fail but a conversion that
// is impossible. Being the only condition, and about no row, it is looked at before
// anything is read. OFFSET 0 has the planner leave the statement as it is.
func (g *gate) guard(text string, args []any) (string, []any) {
	var s strings.Builder
	s.WriteString("SELECT * FROM (SELECT * FROM (")
	s.WriteString(text)
	s.WriteString(") AS a OFFSET 0) AS b WHERE (SELECT CASE WHEN c.at >= $")
	s.WriteString(strconv.Itoa(len(args) + 1))
	s.WriteString(" THEN true ELSE ('" + behindMark + "' || c.at)::boolean END FROM (")
	s.WriteString(g.position)
	s.WriteString(") AS c (at))")
	return s.String(), append(slices.Clip(args), g.from)
}

// conn runs fn, which reads with guarded statements, until the replica lets it. Behind
// one address there may be several: that one is far enough says nothing of the next.
func (g *gate) conn(ctx context.Context, fn func(*sql.Conn) error) error {
	deadline := time.Now().Add(g.wait)
	settled := g.settle == nil
	for pause := firstPause; ; pause = nextPause(pause) {
		err := g.dialect.conn(ctx, g.pool, fn)
		switch {
		case err == nil || !isBehind(err):
			return err
		case !time.Now().Before(deadline):
			return g.late(ctx, err)
		case !settled:
			if err := g.settle(ctx, g.from); err != nil {
				return err
			}
			settled = true
		}
		if err := g.await(ctx, deadline); err != nil {
			return err
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// isBehind reports whether a statement came too early, perhaps for a table that has
// just been made.
func isBehind(err error) bool {
	const undefinedTable = "42P01"
	var coded *pgconn.PgError
	return strings.Contains(err.Error(), behindMark) || errors.As(err, &coded) && coded.Code == undefinedTable
}

const firstPause = time.Millisecond

func nextPause(pause time.Duration) time.Duration { return min(2*pause, 200*time.Millisecond) }

// await returns when the replica has got to the position.
func (g *gate) await(ctx context.Context, deadline time.Time) error {
	for pause := firstPause; ; pause = nextPause(pause) {
		var at int64
		err := g.pool.QueryRowContext(ctx, g.position).Scan(&at)
		switch {
		case err != nil && !isBehind(err):
			return err
		case err == nil && at >= g.from:
			return nil
		case !time.Now().Before(deadline):
			return g.late(ctx, err)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// late says by how much, as far as a replica knows: when its primary is idle, the last
// transaction is old. A table that is still not there may not be the replica's fault.
func (g *gate) late(ctx context.Context, cause error) error {
	waited := max(g.wait, 0)
	if cause != nil && !strings.Contains(cause.Error(), behindMark) {
		return fmt.Errorf("%w, also after %v: %w", ErrReplicaBehind, waited, cause)
	}
	const query = `SELECT extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8`
	var age sql.NullFloat64
	if err := g.pool.QueryRowContext(ctx, query).Scan(&age); err != nil || !age.Valid {
		return fmt.Errorf("%w, also after %v", ErrReplicaBehind, waited)
	}
	last := time.Duration(age.Float64 * float64(time.Second)).Round(time.Millisecond)
	return fmt.Errorf("%w, also after %v: the last transaction that it has replayed was committed %v ago",
		ErrReplicaBehind, waited, last)
}

// standby returns the replica of a database of the host's, if one is configured. Its
// transactions must have the numbers of the primary, which those of a logical replica
// have not.
func (db session) standby(ctx context.Context, cfg TablesConfig) (*replica, error) {
	r, err := newReplica(cfg.Replica, tablesPosition, cfg.ReplicaWait)
	if r == nil || err != nil {
		return nil, err
	}
	var own, copied string
	const query = `SELECT system_identifier::text FROM pg_control_system()`
	err = db.pool.QueryRowContext(ctx, query).Scan(&own)
	if err == nil {
		err = r.pool.QueryRowContext(ctx, query).Scan(&copied)
	}
	if err == nil && own != copied {
		err = errors.New("it is no standby of the database")
	}
	return r, wrap(ctx, "TablesConfig.Replica", err)
}

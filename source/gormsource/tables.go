package gormsource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

var (
	_ bulkexport.ResourceSource    = (*Tables)(nil)
	_ bulkexport.SourceClock       = (*Tables)(nil)
	_ bulkexport.SourceCounter     = (*Tables)(nil)
	_ bulkexport.SourceSplitter    = (*Tables)(nil)
	_ bulkexport.SourceConsistency = (*Tables)(nil)
)

// TablesConfig is what [NewTables] makes a source of.
type TablesConfig struct {
	// Tables are the host's tables: one for all types, one per type, or one for
	// each of some types and one for the rest. Required.
	Tables []Table
	// BaseURLs are the base URLs of the host's FHIR API. With them an absolute
	// reference to a Patient counts as one at Patient level. Defaults to none.
	BaseURLs []string
	// Lag is how far [Tables.TransactionTime] stays behind the clock and open
	// transactions: longer than the host takes from setting a last update to the
	// end of the first statement of the transaction that writes it, differences
	// between clocks included. Resources are not missing from an export because
	// of it, they may only come again with the next incremental one. Defaults to 5
	// seconds; negative means none.
	Lag time.Duration
	// MaxWait is how long TransactionTime waits for open transactions to end,
	// before it names a time before the oldest of them. It is for a host that has
	// now and then a transaction of minutes and wants no export to repeat these.
	// Defaults to 0: it only waits where it must.
	MaxWait time.Duration
	// FHIRVersion says which types there are and what is in a Patient
	// compartment. Defaults to R4.
	FHIRVersion fhir.Version
	// Replica is a handle on a hot standby of the database, or on several behind one
	// address, for PostgreSQL. Resources are read, counted and split there; the
	// transactionTime and the types are asked for in the database itself. Functions of
	// the host, such as Scope, are given a handle on the replica. Defaults to none.
	Replica *gorm.DB
	// ReplicaWait is how long a call waits for the replica to have replayed what it is to
	// read, before it fails with [ErrReplicaBehind]. Shorter than
	// bulkexport.Config.StallTimeout. Defaults to a minute; negative means not at all.
	ReplicaWait time.Duration
}

const defaultLag = 5 * time.Second

// Tables reads resources from tables of the host. It is safe for concurrent
// use and writes nothing.
//
// Only current versions are there, so Query.AsOf is of no effect: a resource
// that changes while an export runs is exported as it then is. To leave it out
// would lose it.
type Tables struct {
	session
	replica   *replica // nil if there is none
	positions *positions
	tables    []table
	baseURLs  []string
	fhir      fhir.Version
	behind    time.Duration
	maxWait   time.Duration
	// checkGroup is nil without Group level.
	checkGroup func(ctx context.Context, tenant, id string) error
}

// NewTables checks the configuration against the database and returns a source.
// The error names every fault, such as a column that is not there. db must be a
// plain handle on SQLite or PostgreSQL, without conditions and not a
// transaction.
func NewTables(ctx context.Context, db *gorm.DB, cfg TablesConfig) (*Tables, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	session, err := newSession(db)
	if err != nil {
		return nil, err
	}
	replica, err := session.standby(ctx, cfg)
	if err != nil {
		return nil, err
	}
	t := &Tables{
		session: session, replica: replica, positions: &positions{},
		baseURLs: slices.Clone(cfg.BaseURLs), fhir: cfg.FHIRVersion, maxWait: cfg.MaxWait,
	}
	var faults []error
	var unit time.Duration
	for i, config := range cfg.Tables {
		inspected, err := session.inspect(ctx, config)
		if err != nil {
			faults = append(faults, fmt.Errorf("gormsource: TablesConfig.Tables[%d] (%s): %w", i, config.Name, err))
		}
		t.tables = append(t.tables, inspected)
		unit = max(unit, config.LastUpdatedUnit)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	t.behind = max(cmp.Or(cfg.Lag, defaultLag), 0) + unit
	// A type is first looked for among the tables of a single type.
	slices.SortStableFunc(t.tables, func(a, b table) int { return cmp.Compare(a.TypeColumn, b.TypeColumn) })
	return t, nil
}

// Consistency implements [bulkexport.SourceConsistency].
func (t *Tables) Consistency() bulkexport.Consistency { return bulkexport.Bounded }

// TransactionTime implements [bulkexport.SourceClock]. It stays behind the
// clock by Lag and by the largest LastUpdatedUnit, within which an earlier and a
// later update look alike.
//
// On PostgreSQL it goes by the server's clock, and stays before the beginning of
// every transaction that is open in the database, whoever runs it, unless that
// role can write nothing there: no privilege to do so on any table or view, nor
// as a member of another role, and no SECURITY DEFINER function to call. A
// transaction whose beginning cannot be told is waited for: a prepared one, and
// that of another role where this one is no member of pg_read_all_stats. What it
// cannot know of is written elsewhere: on another server behind a foreign table,
// or on the primary of a standby, which it refuses to ask; that is for Replica.
//
// On SQLite it waits for the write in flight.
//
// What must be waited for has 10 seconds, or MaxWait if that is longer. The
// error then says what it was. The replica is then waited for, if there is one.
func (t *Tables) TransactionTime(ctx context.Context, _ string) (time.Time, error) {
	now, err := t.dialect.now(ctx, t.pool, t.maxWait)
	at := now.Add(-t.behind).UTC()
	if err == nil && t.replica != nil {
		err = t.awaitReplica(ctx, at)
	}
	if err != nil {
		return time.Time{}, wrap(ctx, "transaction time", err)
	}
	return at, nil
}

// awaitReplica returns when all that the moment has can be read on the replica.
func (t *Tables) awaitReplica(ctx context.Context, moment time.Time) error {
	position, err := t.positions.settle(ctx, t.pool, moment)
	if err != nil {
		return err
	}
	return t.replica.await(ctx, position)
}

// reading returns where to read a moment: on the replica, if there is one.
func (t *Tables) reading(ctx context.Context, moment time.Time) (*Tables, error) {
	if t.replica == nil {
		return t, nil
	}
	position, err := t.positions.of(ctx, t.pool, moment)
	there := *t
	there.session = t.replica.from(position)
	return &there, err
}

// Resources implements [bulkexport.ResourceSource]. Keys are the text of the
// key column.
func (t *Tables) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		t, s, err := t.selection(ctx, q)
		switch {
		case err != nil:
			yield(bulkexport.Resource{}, wrap(ctx, "read "+q.Type, err))
		case s != nil:
			t.stream(ctx, *s, yield)
		}
	}
}

// Count implements [bulkexport.SourceCounter]. At Patient level it counts the
// resources outside of the compartment too, unless there is a PatientScope.
func (t *Tables) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	t, s, err := t.selection(ctx, q)
	if s == nil || err != nil {
		return 0, wrap(ctx, "count "+q.Type, err)
	}
	n, err := t.count(ctx, *s)
	return n, wrap(ctx, "count "+q.Type, err)
}

// Split implements [bulkexport.SourceSplitter]. At Patient level parts come out
// smaller by what is outside of the compartment, as with Count.
func (t *Tables) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	t, s, err := t.selection(ctx, q)
	if s == nil || err != nil {
		return nil, wrap(ctx, "split "+q.Type, err)
	}
	cuts, err := t.split(ctx, *s, size)
	return cuts, wrap(ctx, "split "+q.Type, err)
}

// selection returns nil where no table holds what is asked for, and else from where
// to read it too.
func (t *Tables) selection(ctx context.Context, q bulkexport.Query) (*Tables, *selection, error) {
	if err := t.checkScope(ctx, q.Scope); err != nil {
		return t, nil, err
	}
	inCompartment := q.Level != bulkexport.LevelSystem && q.Type != patientType
	if inCompartment && !t.fhir.IsPatientCompartmentType(q.Type) {
		return t, nil, nil
	}
	found := t.tableOf(q.Tenant, q.Type)
	if found == nil || q.Level == bulkexport.LevelGroup && found.GroupScope == nil {
		return t, nil, nil
	}
	t, err := t.reading(ctx, q.AsOf)
	if err != nil {
		return t, nil, err
	}
	s, err := found.selection(ctx, t.session, q)
	if err != nil {
		return t, nil, err
	}
	if inCompartment && q.Level == bulkexport.LevelPatient && found.PatientScope == nil {
		s.keep = t.keepInCompartment(q)
	}
	return t, &s, nil
}

// tableOf returns nil if there is none.
func (t *Tables) tableOf(tenant, resourceType string) *table {
	i := slices.IndexFunc(t.tables, func(t table) bool { return t.holds(tenant, resourceType) })
	if i < 0 {
		return nil
	}
	return &t.tables[i]
}

// checkScope refuses levels that are not supported and Groups that are gone.
func (t *Tables) checkScope(ctx context.Context, scope bulkexport.Scope) error {
	if scope.Level == bulkexport.LevelGroup && t.checkGroup != nil {
		return t.checkGroup(ctx, scope.Tenant, scope.Group)
	}
	return checkLevel(scope.Level, bulkexport.LevelSystem, bulkexport.LevelPatient)
}

func checkLevel(level bulkexport.Level, supported ...bulkexport.Level) error {
	if slices.Contains(supported, level) {
		return nil
	}
	return fmt.Errorf("export level %q is not supported", level)
}

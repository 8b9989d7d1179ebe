package gormsource

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/bulkexport/bulkexport"
)

// view is a query of which is known what moment it reads and whose resources.
type view struct {
	bulkexport.Query
	// asOf is the moment, in microseconds. What is selected was last updated
	// later than since and not later than until.
	asOf, since, until int64
	// deletions selects deletions instead of resources.
	deletions bool
	// patients are those to whom the population is limited, if it is.
	limited  bool
	patients []string
}

// present is later than all stamps. As a moment it is only good for a single
// statement.
const present = math.MaxInt64 - 1

// view resolves the population, and tells from where to read. A query without AsOf reads
// the state of now, as its batches would otherwise see a resource that changes between
// them twice.
func (r *Repository) view(ctx context.Context, q bulkexport.Query) (*Repository, view, error) {
	if err := r.checkLevel(q.Level); err != nil {
		return r, view{}, err
	}
	if q.AsOf.IsZero() {
		now, err := r.cut(ctx)
		if err != nil {
			return r, view{}, err
		}
		q.AsOf = now
	}
	v := viewAt(q, q.AsOf.UnixMicro())
	r = r.reading(v.asOf)
	return r, v, r.populate(ctx, &v)
}

// reading returns where to read a moment that is over: on the replica, if there is one.
func (r *Repository) reading(moment int64) *Repository {
	if r.replica == nil || moment == present {
		return r
	}
	there := *r
	there.session = r.replica.from(moment)
	return &there
}

func (r *Repository) checkLevel(level bulkexport.Level) error {
	return checkLevel(level, bulkexport.LevelSystem, bulkexport.LevelPatient, bulkexport.LevelGroup)
}

func viewAt(q bulkexport.Query, asOf int64) view {
	v := view{Query: q, asOf: asOf, since: math.MinInt64, until: asOf}
	if !q.Since.IsZero() {
		v.since = countUnits(q.Since, time.Microsecond)
	}
	if !q.Until.IsZero() {
		v.until = min(asOf, countUnits(q.Until.Add(time.Microsecond-1), time.Microsecond)-1)
	}
	return v
}

// selected is the condition on a version of the type to be selected, whatever
// the population.
func (v *view) selected(alias string) (string, []any) {
	comparison := " < "
	if v.deletions {
		comparison = " >= "
	}
	return alias + ".last_updated > ? AND " + alias + ".last_updated <= ? AND " +
			alias + ".superseded_at > ? AND " + alias + ".flags" + comparison + strconv.Itoa(flagDeleted),
		[]any{v.since, v.until, v.asOf}
}

// keyRange returns After and UpTo as numbers: more than one, up to the other.
func (v *view) keyRange() (after, upTo int64, err error) {
	after, upTo = 0, math.MaxInt64
	if v.After != nil {
		after, err = parseKey(v.After)
	}
	if v.UpTo != nil && err == nil {
		upTo, err = parseKey(v.UpTo)
	}
	return after, upTo, err
}

func parseKey(key []byte) (int64, error) {
	n, err := strconv.ParseInt(string(key), 10, 64)
	if err != nil {
		return 0, errKey
	}
	return n, nil
}

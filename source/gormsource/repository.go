package gormsource

import (
	"context"
	"iter"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
)

var (
	_ bulkexport.ResourceSource    = (*Repository)(nil)
	_ bulkexport.SourceClock       = (*Repository)(nil)
	_ bulkexport.SourceCounter     = (*Repository)(nil)
	_ bulkexport.SourceSplitter    = (*Repository)(nil)
	_ bulkexport.SourceConsistency = (*Repository)(nil)
)

// RepositoryConfig is how a [Repository] is set up. The zero value is ready.
type RepositoryConfig struct {
	// BaseURLs are the base URLs of the host's FHIR API. With them an absolute
	// reference to a Patient counts as one, from the next write on. Defaults to
	// none.
	BaseURLs []string
}

// Repository keeps resources in tables of its own, whose names begin with
// bulkexport_. It is safe for concurrent use, also by several processes.
//
// What it was told is durable as far as the database's settings make it so.
// Superseded versions and deletions are kept, so the tables grow with every
// change.
type Repository struct {
	session
	baseURLs []string
}

// NewRepository returns a repository on SQLite or PostgreSQL. The tables must
// be there before anything else is called: see [Repository.Migrate]. db must be
// a plain handle, without conditions and not a transaction.
func NewRepository(db *gorm.DB, cfg RepositoryConfig) (*Repository, error) {
	session, err := newSession(db)
	if err != nil {
		return nil, err
	}
	return &Repository{session: session, baseURLs: slices.Clone(cfg.BaseURLs)}, nil
}

// Consistency implements [bulkexport.SourceConsistency].
func (r *Repository) Consistency() bulkexport.Consistency { return bulkexport.Snapshot }

// Types implements [bulkexport.ResourceSource]. It names types whose resources
// are all deleted too.
func (r *Repository) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	if err := checkLevel(scope.Level); err != nil {
		return nil, wrap(ctx, "list types", err)
	}
	found, err := r.distinct(ctx, resourcesTable, "type", []clause.Expression{
		clause.Eq{Column: column("tenant"), Value: scope.Tenant},
	})
	return atLevel(found, scope.Level), wrap(ctx, "list types", err)
}

// Resources implements [bulkexport.ResourceSource]. Keys are in the order of
// the writes. Without AsOf the state is that of the beginning of the stream.
func (r *Repository) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		s, err := r.selection(ctx, q)
		if err != nil {
			yield(bulkexport.Resource{}, wrap(ctx, "read "+q.Type, err))
			return
		}
		r.stream(ctx, s, yield)
	}
}

// Count implements [bulkexport.SourceCounter]. It is exact.
func (r *Repository) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	s, err := r.selection(ctx, q)
	if err != nil {
		return 0, wrap(ctx, "count "+q.Type, err)
	}
	n, err := r.count(ctx, s)
	return n, wrap(ctx, "count "+q.Type, err)
}

// Split implements [bulkexport.SourceSplitter]. The ranges are of equal size.
func (r *Repository) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	s, err := r.selection(ctx, q)
	if err != nil {
		return nil, wrap(ctx, "split "+q.Type, err)
	}
	cuts, err := r.split(ctx, s, size)
	return cuts, wrap(ctx, "split "+q.Type, err)
}

// selection selects the versions that were current at AsOf. All its columns but
// the body are in the index that gives the order.
func (r *Repository) selection(ctx context.Context, q bulkexport.Query) (selection, error) {
	if err := checkLevel(q.Level); err != nil {
		return selection{}, err
	}
	if q.AsOf.IsZero() {
		// Batches would otherwise see a resource that changes between them twice.
		now, err := r.cut(ctx)
		if err != nil {
			return selection{}, err
		}
		q.AsOf = now
	}
	asOf := q.AsOf.UnixMicro()
	conditions := []clause.Expression{
		clause.Eq{Column: column("tenant"), Value: q.Tenant},
		clause.Eq{Column: column("type"), Value: q.Type},
		clause.Lte{Column: column("last_updated"), Value: asOf},
		clause.Gt{Column: column("superseded_at"), Value: asOf},
		clause.Lt{Column: column("flags"), Value: flagDeleted},
	}
	if q.Level == bulkexport.LevelPatient {
		conditions = append(conditions, clause.Eq{Column: column("flags"), Value: flagPatient})
	}
	stamps := integerTime{column("last_updated"), time.Microsecond}
	if !q.Since.IsZero() {
		conditions = append(conditions, stamps.after(q.Since))
	}
	if !q.Until.IsZero() {
		conditions = append(conditions, stamps.before(q.Until))
	}
	return selection{
		table:        resourcesTable,
		key:          column("seq"),
		body:         column("body"),
		integerKey:   true,
		resourceType: q.Type,
		conditions:   conditions,
		after:        q.After,
		upTo:         q.UpTo,
	}, nil
}

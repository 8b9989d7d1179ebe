package gormsource

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

var (
	_ bulkexport.ResourceSource    = (*Repository)(nil)
	_ bulkexport.SourceClock       = (*Repository)(nil)
	_ bulkexport.SourceCounter     = (*Repository)(nil)
	_ bulkexport.SourceSplitter    = (*Repository)(nil)
	_ bulkexport.SourceConsistency = (*Repository)(nil)
	_ bulkexport.SourceGroups      = (*Repository)(nil)
	_ bulkexport.SourcePatients    = (*Repository)(nil)
	_ bulkexport.SourceDeletions   = (*Repository)(nil)
	_ bulkexport.SourceLookup      = (*Repository)(nil)
	_ bulkexport.SourceProvenance  = (*Repository)(nil)
	_ bulkexport.SourceOrganizer   = (*Repository)(nil)
)

// RepositoryConfig is how a [Repository] is set up. The zero value is ready.
type RepositoryConfig struct {
	// BaseURLs are the base URLs of the host's FHIR API. With them an absolute
	// reference to a Patient counts as one, from the next write on. Defaults to
	// none.
	BaseURLs []string
	// FHIRVersion says which types there are and what is in a Patient
	// compartment, from the next write on. Defaults to R4.
	FHIRVersion fhir.Version
	// Replica is a handle on a hot standby of the database, or on several behind one
	// address, for PostgreSQL. Whatever an export reads as of its transactionTime is read
	// there; everything else, writes and the clock above all, goes to the database
	// itself. Defaults to none.
	Replica *gorm.DB
	// ReplicaWait is how long a call waits for the replica to have replayed what it is to
	// read, before it fails with [ErrReplicaBehind]. Shorter than
	// bulkexport.Config.StallTimeout. Defaults to a minute; negative means not at all.
	ReplicaWait time.Duration
}

// Repository keeps resources in tables of its own, whose names begin with
// bulkexport_. It is safe for concurrent use, also by several processes.
//
// What it was told is durable as far as the database's settings make it so.
// Superseded versions and deletions are kept, so the tables grow with every
// change.
type Repository struct {
	session
	replica  *replica // nil if there is none
	baseURLs []string
	fhir     fhir.Version
	// How many places a window has at least.
	windowPlaces, provenancePlaces int
}

// NewRepository returns a repository on SQLite or PostgreSQL. The tables must
// be there before anything else is called: see [Repository.Migrate]. db must be
// a plain handle, without conditions and not a transaction.
func NewRepository(db *gorm.DB, cfg RepositoryConfig) (*Repository, error) {
	if !cfg.FHIRVersion.Valid() {
		return nil, errors.New("gormsource: RepositoryConfig.FHIRVersion is neither R4 nor R5")
	}
	session, err := newSession(db)
	if err != nil {
		return nil, err
	}
	replica, err := newReplica(cfg.Replica, repositoryPosition, cfg.ReplicaWait)
	if err != nil {
		return nil, err
	}
	r := &Repository{
		session:          session,
		replica:          replica,
		baseURLs:         slices.Clone(cfg.BaseURLs),
		fhir:             cfg.FHIRVersion,
		windowPlaces:     windowPlaces,
		provenancePlaces: provenancePlaces,
	}
	if replica != nil {
		replica.settle = r.settle
	}
	return r, nil
}

// Consistency implements [bulkexport.SourceConsistency].
func (r *Repository) Consistency() bulkexport.Consistency { return bulkexport.Snapshot }

// Types implements [bulkexport.ResourceSource]. It names types whose resources
// are all deleted too, and at the Patient and Group levels all that can be in
// the compartment.
func (r *Repository) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	if err := r.checkLevel(scope.Level); err != nil {
		return nil, wrap(ctx, "list types", err)
	}
	found, err := r.distinct(ctx, resourcesTable, "type", []clause.Expression{
		clause.Eq{Column: column("tenant"), Value: scope.Tenant},
	})
	return atLevel(r.fhir, found, scope.Level), wrap(ctx, "list types", err)
}

// Resources implements [bulkexport.ResourceSource]. Keys are in the order of
// the writes. Without AsOf the state is that of the beginning of the stream.
func (r *Repository) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	return func(yield func(bulkexport.Resource, error) bool) {
		r, v, err := r.view(ctx, q)
		switch {
		case err != nil:
			yield(bulkexport.Resource{}, wrap(ctx, "read "+q.Type, err))
		case v.limited:
			r.streamOf(ctx, &v, "body", yield)
		default:
			r.stream(ctx, r.selection(&v), yield)
		}
	}
}

// Count implements [bulkexport.SourceCounter]. It is exact.
func (r *Repository) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	r, v, err := r.view(ctx, q)
	if err != nil {
		return 0, wrap(ctx, "count "+q.Type, err)
	}
	count := r.countOf
	if !v.limited {
		count = func(ctx context.Context, v *view) (int64, error) { return r.count(ctx, r.selection(v)) }
	}
	n, err := count(ctx, &v)
	return n, wrap(ctx, "count "+q.Type, err)
}

// Split implements [bulkexport.SourceSplitter]. All ranges but the last one have
// exactly the size that is asked for.
func (r *Repository) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	r, v, err := r.view(ctx, q)
	if err != nil {
		return nil, wrap(ctx, "split "+q.Type, err)
	}
	var cuts [][]byte
	if v.limited {
		cuts, err = r.splitOf(ctx, &v, size)
	} else {
		cuts, err = r.split(ctx, r.selection(&v), size)
	}
	return cuts, wrap(ctx, "split "+q.Type, err)
}

// selection selects in a population that is not limited. All its columns but
// the body are in the index that gives the order.
func (r *Repository) selection(v *view) selection {
	conditions := []clause.Expression{
		clause.Eq{Column: column("tenant"), Value: v.Tenant},
		clause.Eq{Column: column("type"), Value: v.Type},
		clause.Lte{Column: column("last_updated"), Value: v.until},
		clause.Gt{Column: column("superseded_at"), Value: v.asOf},
	}
	if !v.Since.IsZero() {
		conditions = append(conditions, clause.Gt{Column: column("last_updated"), Value: v.since})
	}
	body, flags := "body", 0
	if v.deletions {
		body, flags = "id", flagDeleted
	}
	return selection{
		table:        resourcesTable,
		hint:         r.dialect.byOrder,
		key:          column("seq"),
		body:         column(body),
		integerKey:   true,
		resourceType: v.Type,
		conditions:   append(conditions, r.flags(v, flags)...),
		after:        v.After,
		upTo:         v.UpTo,
	}
}

// flags are the conditions on what kind of version it is, and in the Patient
// compartment if it has to be.
func (r *Repository) flags(v *view, flags int) []clause.Expression {
	kind := clause.IN{Column: column("flags"), Values: []any{flags, flags | flagPatient}}
	inside := clause.Eq{Column: column("flags"), Value: flags | flagPatient}
	switch {
	case v.Level == bulkexport.LevelSystem:
		return []clause.Expression{kind}
	case v.Type == provenanceType:
		return []clause.Expression{kind, clause.Or(inside, r.ofPatients(v))}
	}
	return []clause.Expression{inside}
}

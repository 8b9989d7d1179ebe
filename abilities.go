package bulkexport

import (
	"context"
	"iter"
)

// SourceGroups is implemented by a source that knows the members of Groups.
// Without it Group level is not offered.
//
// Members are the Patients that Group.member names, without those that are
// inactive or whose period has ended, and the members of the Groups that it
// names, however deep, each Group once. They are told as of Query.AsOf. A Group
// without members has an empty export, without even itself, and never one of
// everybody.
type SourceGroups interface {
	// CheckGroup returns nil if the Group can be exported now. Absent is
	// [ErrGroupNotFound]. A [*RequestError] says why the members cannot be told,
	// for example of a Group that is a description (actual is false) or has a
	// modifier extension that the source does not know.
	//
	// Where there is no such Group at Query.AsOf, queries fail with
	// ErrGroupNotFound.
	CheckGroup(ctx context.Context, tenant, id string) error
}

// SourcePatients is implemented by a source that can limit the Patient and
// Group levels to patients. Without it the parameter patient is refused.
type SourcePatients interface {
	// UnknownPatients returns those of the ids that name no Patient in the scope,
	// at Group level no member of the Group, in the order given. The scope itself
	// is not limited.
	UnknownPatients(ctx context.Context, scope Scope, ids []string) ([]string, error)
}

// SourceDeletions is implemented by a source that remembers what was deleted.
// Without it incremental exports have no list of deletions.
type SourceDeletions interface {
	// Deletions streams, in ascending order of Key, the resources of the type and
	// scope that were deleted after q.Since, before q.Until, and not later than
	// q.AsOf, and do not exist at q.AsOf. q.Since is never zero. A deleted
	// resource belongs to the compartments that its last version belonged to.
	// q.After, q.UpTo and the end of the stream are as for Resources.
	Deletions(ctx context.Context, q Query) iter.Seq2[Deletion, error]
}

// Deletion names a resource that does not exist any more.
type Deletion struct {
	// Key is the position in the order of deletions of the type. It is lent like
	// Resource.Key, and keeps its meaning in the same way.
	Key []byte
	// ID is the logical id that the resource had.
	ID string
}

// SourceSearcher is implemented by a source that can evaluate FHIR searches,
// for example with an index. What it cannot is judged in memory instead.
type SourceSearcher interface {
	// Searches reports whether the source honours the search for a type, exactly
	// as FHIR R4 defines it, when it comes in Query.Filters.
	Searches(resourceType, filter string) bool
}

// SourceLookup is implemented by a source that finds resources by id.
type SourceLookup interface {
	// Lookup streams those of the resources with these ids, at most 100, that q
	// selects, each once, in any order. q has no After and no UpTo.
	Lookup(ctx context.Context, q Query, ids []string) iter.Seq2[Resource, error]
}

// SourceProvenance is implemented by a source that finds Provenance by its
// target. Without it includeAssociatedData=LatestProvenanceResources is refused.
type SourceProvenance interface {
	// LatestProvenance returns the Key of the most recent one of all Provenance
	// resources at q.AsOf that have the resource as a target, by recorded and
	// then by last update; nil if there is none. q.Type is Provenance, q.Level is
	// system; other conditions of q do not count.
	LatestProvenance(ctx context.Context, q Query, targetType, targetID string) ([]byte, error)
}

// SourceOrganizer is implemented by a source that can stream resources by the
// instance that they belong to. Without it organizeOutputBy is refused.
type SourceOrganizer interface {
	// OrganizesBy reports whether Blocks is possible for instances of the type.
	OrganizesBy(resourceType string) bool

	// Blocks streams resources by the instance of q.Type that they belong to: for
	// Patient, by its compartment. Blocks come in ascending order of the key that
	// Resources gives that instance, and q.After and q.UpTo are such keys. A block has first the
	// instance itself, if q selects it and its type is one of types, then all
	// other resources of these types that q selects and that belong to it, by
	// type. The scope limits instances and resources; q.Since and q.Until select
	// resources only. A resource may come in several blocks, in each once. Errors
	// are as for Resources.
	Blocks(ctx context.Context, q Query, types []string) iter.Seq2[BlockResource, error]
}

// BlockResource is a resource in a block. Its Key is that of the instance that
// the block belongs to.
type BlockResource struct {
	Resource
	// Type is the type of the resource.
	Type string
	// Owner is the logical id of the instance.
	Owner string
}

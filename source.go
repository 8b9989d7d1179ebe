package bulkexport

import (
	"context"
	"iter"
	"time"
)

// ResourceSource reads the resources of a FHIR server. It is the one seam that
// every host has to fill itself, so it asks for little: which types there are,
// and a stream of one type in a fixed order.
//
// What an implementation promises:
//
//   - Methods are safe for concurrent use; several streams run at once.
//   - A cancelled context ends a call or a stream soon (within a second), with
//     an error that wraps the context's.
//   - Nothing of one tenant is ever visible through a query for another.
//   - An open stream does not keep others from writing.
//
// Further abilities are optional interfaces, found by type assertion when the
// exporter is made: [SourceClock], [SourceCounter], [SourceSplitter], [SourceProbe]
// and [SourceConsistency] here; [SourceGroups], [SourcePatients], [SourceDeletions],
// [SourceSearcher], [SourceLookup], [SourceProvenance] and [SourceOrganizer]
// make parameters of the kick-off work that are refused without them. Package
// sourcetest proves an implementation, with the abilities that it has.
type ResourceSource interface {
	// Types returns the resource types that may hold resources in the scope,
	// each once, in any order. Naming a type that turns out to be empty is fine;
	// leaving out one that is not loses data. None at all is no error, but a
	// level that the source does not know is.
	Types(ctx context.Context, scope Scope) ([]string, error)

	// Resources streams the resources that the query selects, in ascending
	// order of Resource.Key, each exactly once: the version that was current at
	// q.AsOf, or (for a source that declares itself [Bounded]) the current one.
	//
	// The stream ends with the first error it yields, except that a
	// [*ResourceError] concerns one resource only and the stream goes on; its
	// Resource carries the Key. When the consumer stops early, the source frees
	// what it holds (rows, connections) before the loop statement returns.
	// A type without resources gives an empty stream.
	Resources(ctx context.Context, q Query) iter.Seq2[Resource, error]
}

// Resource is one resource as a source yields it.
//
// Both slices are lent: they are valid until the next resource is asked for,
// and the consumer must not change them.
type Resource struct {
	// Key is the resource's position in the order of its type: unique within
	// tenant and type, compared by the source alone, opaque to everyone else. It
	// must keep its meaning across processes, since an interrupted export goes
	// on after the last key it wrote. At most 1 KiB.
	Key []byte
	// JSON is one complete FHIR resource. A raw line break between its tokens
	// is allowed and is taken out; everything else reaches the file as it is.
	JSON []byte
}

// Scope is the population that an export reads from.
type Scope struct {
	// Tenant is the partition of the host's data, as its authorization hook
	// named it. May be empty where the host has but one.
	Tenant string
	// Level is the export level.
	//
	// At [LevelPatient] a source yields every Patient and all resources in the
	// Patient compartment of any of them (Bulk Data Access, "Patient level
	// export"). Whether the Patient that a resource names is there is not asked.
	// At [LevelGroup], which only sources with [SourceGroups] are asked for, the
	// patients are the members of the Group, and of all Groups only that one is
	// yielded.
	//
	// At both, a Provenance belongs to the compartment of a patient if one of its
	// targets that is no Provenance itself does (Bulk Data Access,
	// includeAssociatedData), not only if the Patient is a target. A target that
	// was deleted stays in the compartments it was in.
	Level Level
	// Group is the id of the Group at LevelGroup, else empty.
	Group string
	// Patients limits LevelPatient and LevelGroup to some of their patients. Only
	// sources with [SourcePatients] are given one that limits.
	Patients PatientSet
}

// PatientSet says whether an export is limited to patients, and to which. The
// zero value does not limit; limited to no patient at all is something else.
type PatientSet struct {
	// Limited is true when only the patients in IDs are meant.
	Limited bool `json:"limited,omitempty"`
	// IDs are the logical ids, sorted, each once. Empty unless Limited.
	IDs []string `json:"ids,omitempty"`
}

// Query selects a key range of one resource type. Times are UTC.
type Query struct {
	Scope
	// Type is the resource type to read.
	Type string
	// After excludes resources up to and including this key; nil starts at the
	// first one. UpTo excludes resources beyond this key; nil goes to the last.
	// Both are keys (or cuts) that the same source produced.
	After, UpTo []byte
	// Since, if not zero, selects resources last updated strictly later.
	Since time.Time
	// Until, if not zero, selects resources last updated strictly earlier.
	Until time.Time
	// AsOf is the transactionTime of the export: the state to read is the one
	// at this moment, changes made at exactly this moment included. Zero means
	// the current state.
	AsOf time.Time
	// Filters, if not empty, selects resources that match at least one of these
	// FHIR searches, such as "status=final&date=ge2026". Only a source with
	// [SourceSearcher] is given any, and only such as it has said to support.
	Filters []string
}

// SourceClock is implemented by a source that can say up to which moment its
// data is complete. Without it the exporter takes its own clock.
type SourceClock interface {
	// TransactionTime returns a moment T such that every change with a last
	// update at or before T is already visible to queries with AsOf = T, and no
	// later commit will carry a last update at or before T. T may lag behind the
	// present, and does not go back.
	//
	// The exporter rounds T down to milliseconds. A source that stamps changes
	// in milliseconds therefore returns whole ones: with T = 5.9 ms, a change
	// stamped 5 ms but made later would be in no export.
	TransactionTime(ctx context.Context, tenant string) (time.Time, error)
}

// SourceCounter is implemented by a source that can count cheaply. With it,
// progress is a percentage.
type SourceCounter interface {
	// Count returns how many resources the query selects. An estimate is
	// allowed: it is used for progress, and to tell what is so large that it is
	// to be split.
	Count(ctx context.Context, q Query) (int64, error)
}

// SourceSplitter is implemented by a source that can cut a type into key
// ranges of similar size, so that one large type is read by several workers.
type SourceSplitter interface {
	// Split returns ascending keys c1 < c2 < … such that each of the ranges
	// (q.After, c1], (c1, c2], …, (cn, q.UpTo] selects about size resources. No
	// cuts means that the range is small or cannot be divided. size is positive; of
	// what was counted it is an equal share, so that there is no need to count again.
	// The cuts must stay valid for later queries, in any process. The exporter
	// cannot compare keys: cuts out of order would export resources twice.
	Split(ctx context.Context, q Query, size int64) ([][]byte, error)
}

// SourceProbe is implemented by a source that can tell how its database fares.
// With it exports read more slowly while that is slow, and do not take from the
// host's own requests what little there is.
type SourceProbe interface {
	// Probe makes a request like the shortest that the host itself makes: over the
	// same connections, and waiting for one of them as that would. The exporter takes
	// its time, about once a second in each process while parts are read there, see
	// [Config.ProbeLimit]. An error counts as slow.
	Probe(ctx context.Context) error
}

// SourceConsistency is implemented by a source that reads less strictly, or
// says that it does not. Without it a source counts as [Bounded].
type SourceConsistency interface {
	// Consistency returns the level that all queries of this source have.
	Consistency() Consistency
}

// Consistency says how exactly a source keeps to Query.AsOf.
type Consistency string

const (
	// Snapshot says that queries read the state at AsOf, whatever was written since.
	Snapshot Consistency = "snapshot"
	// Bounded says that the source holds current versions only. A resource that changes
	// while the export runs may appear in its newer version, or, when deleted,
	// not at all; it is never lost to the next incremental export.
	Bounded Consistency = "bounded"
)

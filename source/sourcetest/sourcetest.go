// Package sourcetest proves that a [bulkexport.ResourceSource] keeps the
// promises of its contract. The author of a source calls [Run] from a test and
// says how the data behind the source is written:
//
//	func TestSource(t *testing.T) {
//		sourcetest.Run(t, sourcetest.Harness{
//			Open: func(t *testing.T) sourcetest.DataSet {
//				db := openEmptyDatabase(t)
//				return sourcetest.DataSet{
//					Source: mysource.New(db),
//					Put:    func(…) { return insertOrUpdate(db, …) },
//					Delete: func(…) { return markDeleted(db, …) },
//				}
//			},
//		})
//	}
//
// Writes go through the harness because the contract has none: they should be
// those that the host really makes, with its own stamps, transactions and soft
// deletes. Optional interfaces are found by type assertion; cases for one that
// the source lacks are skipped, and so are cases on [bulkexport.Snapshot] where
// the source declares less.
//
// What the suite asks for beyond the letter of the contract, or leaves open:
//
//   - Data can be written while a stream is open, and a stream can be read while
//     another is open.
//   - TransactionTime may lag behind the clock, but reaches the last update of
//     every committed change within 30 seconds, and never goes back on one source.
//   - Types may name types without resources, also in an empty scope.
//   - A resource of the Patient level may refer to a Patient that does not
//     exist: whether it is in the compartment then is not tested, and neither are
//     absolute references.
//   - Ids and tenants are compared byte for byte.
//   - A Group without patients has an empty export, the Group itself included.
//     Left open is whether a Group that was deleted after AsOf is still there,
//     which time zone a date has that ends a period, and to whom the Provenance
//     of a deleted target belongs.
//   - Whether a resource that was created and deleted after Since is among the
//     deletions is not tested. One that was there before is listed once.
//   - Keys of blocks are those that Resources has for the Patients.
//   - Groups, lists of ids and deletions may have thousands of items.
//   - Resources are small and only as valid as a source needs: resourceType, id,
//     implicitRules, the references that the Patient compartment is about, the
//     members of a Group, target and recorded of a Provenance. A host that edits
//     resources on writing leaves that out in its harness.
package sourcetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Category groups cases, so that a host can say what does not apply to it.
type Category string

// The categories.
const (
	// Basics: each resource is there, once, in its current version.
	Basics Category = "basics"
	// Order: keys, key ranges and resuming.
	Order Category = "order"
	// Bytes: resources come out byte for byte as they were put. A source over a
	// column that rewrites JSON, such as jsonb, skips it.
	Bytes Category = "bytes"
	// Large: a resource of 5 MB.
	Large Category = "large"
	// Tenants: no tenant sees another. A host with one tenant skips it.
	Tenants Category = "tenants"
	// Compartment: what an export at Patient level reads.
	Compartment Category = "compartment"
	// Times: Since, Until and AsOf.
	Times Category = "times"
	// Deletion: what is deleted, and what is created again.
	Deletion Category = "deletion"
	// Changes: what a read may miss while somebody writes.
	Changes Category = "changes"
	// Snapshots: reads as of a moment do not see later changes.
	Snapshots Category = "snapshots"
	// Clock: TransactionTime.
	Clock Category = "clock"
	// Incremental: a full export and those since add up to the final state.
	Incremental Category = "incremental"
	// Counting: Count.
	Counting Category = "counting"
	// Splitting: Split.
	Splitting Category = "splitting"
	// Groups: what an export at Group level reads, and CheckGroup.
	Groups Category = "groups"
	// Patients: an export that is limited to some patients, and UnknownPatients.
	Patients Category = "patients"
	// Tombstones: Deletions, the list of what was deleted.
	Tombstones Category = "tombstones"
	// Lookup: Lookup.
	Lookup Category = "lookup"
	// Provenance: Provenance below the system level, and LatestProvenance. A host
	// without Provenance skips it.
	Provenance Category = "provenance"
	// Blocks: Blocks by Patient.
	Blocks Category = "blocks"
	// Cancellation: an ended context ends calls and streams.
	Cancellation Category = "cancellation"
	// Release: a stream that is broken off leaves nothing behind.
	Release Category = "release"
	// Concurrency: streams, calls and writes at the same time.
	Concurrency Category = "concurrency"
	// Persistence: keys and times mean the same to a second source over the data.
	Persistence Category = "persistence"
)

// DataSet is a source together with the means to change what it reads.
type DataSet struct {
	// Source is the source under test. Required.
	Source bulkexport.ResourceSource

	// Put stores resources in the order given, byte for byte: each is created,
	// or replaces the one of the same type and id, whether the host keeps old
	// versions or updates a row. They are committed when it returns. It returns
	// the last update that the source sees on the last of them, as exactly as
	// the source compares it. It is called by several goroutines at once, and
	// while streams are open. Required.
	Put func(ctx context.Context, tenant string, resources ...[]byte) (time.Time, error)

	// Delete deletes a resource that exists, or marks it as deleted, committed
	// when it returns. Put may create the resource again. Nil means that the
	// host deletes nothing; cases that need it are skipped.
	Delete func(ctx context.Context, tenant, resourceType, id string) error

	// Block has reads wait for somebody else, as for a lock on their tables, from
	// its return until release is called; TransactionTime need not wait. Nil means
	// that no read ever waits; the case that needs it is skipped.
	Block func(ctx context.Context) (release func(), err error)

	// Reopen returns another source over the same data, as a second process
	// would make it. Both are used from then on. Nil means that the data ends
	// with the source; Persistence is skipped.
	Reopen func(t *testing.T) bulkexport.ResourceSource
}

// Harness makes the source under test.
type Harness struct {
	// Open returns a data set without any resource, for one case. What it holds
	// is released by t.Cleanup. Required.
	Open func(t *testing.T) DataSet
	// Tenant is the tenant of the cases that need but one. Defaults to the empty
	// name.
	Tenant string
	// Skip names the categories that do not apply, each with the reason.
	// Defaults to none.
	Skip map[Category]string
}

// Run runs all cases as subtests, named category/case, one after the other.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Open == nil {
		t.Fatal("sourcetest: Harness.Open is required")
	}
	for _, c := range allCases() {
		t.Run(c.String(), func(t *testing.T) {
			if reason, ok := h.Skip[c.category]; ok {
				t.Skip(reason)
			}
			data := h.Open(t)
			if data.Source == nil || data.Put == nil {
				t.Fatal("sourcetest: DataSet.Source and DataSet.Put are required")
			}
			if reason := c.missing(data); reason != "" {
				t.Skip(reason)
			}
			c.run(t, newHost(t, data, h.Tenant, patience))
		})
	}
}

// patience is how long any single call may take. It bounds what would hang.
const patience = 30 * time.Second

// tester is what a case uses of *testing.T, so that the suite's own test can
// run it where it has to fail.
type tester interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

type testCase struct {
	category Category
	name     string
	// needs says what the data set must be able to do.
	needs []need
	run   func(t tester, h *host)
}

func (c testCase) String() string { return string(c.category) + "/" + c.name }

// missing returns why the case cannot run on the data set, or nothing.
func (c testCase) missing(d DataSet) string {
	for _, n := range c.needs {
		if !n.met(d) {
			return n.reason
		}
	}
	return ""
}

// need is an ability that not every data set has.
type need struct {
	reason string
	met    func(DataSet) bool
}

func needDelete() need {
	return need{"the data set has no Delete", func(d DataSet) bool { return d.Delete != nil }}
}

func needBlock() need {
	return need{"the data set has no Block", func(d DataSet) bool { return d.Block != nil }}
}

func needReopen() need {
	return need{"the data set has no Reopen", func(d DataSet) bool { return d.Reopen != nil }}
}

func needClock() need {
	return need{"the source is no SourceClock", implements[bulkexport.SourceClock]}
}

func needCounter() need {
	return need{"the source is no SourceCounter", implements[bulkexport.SourceCounter]}
}

func needSplitter() need {
	return need{"the source is no SourceSplitter", implements[bulkexport.SourceSplitter]}
}

func needGroups() need {
	return need{"the source is no SourceGroups", implements[bulkexport.SourceGroups]}
}

func needPatients() need {
	return need{"the source is no SourcePatients", implements[bulkexport.SourcePatients]}
}

func needDeletions() need {
	return need{"the source is no SourceDeletions", implements[bulkexport.SourceDeletions]}
}

func needLookup() need {
	return need{"the source is no SourceLookup", implements[bulkexport.SourceLookup]}
}

func needProvenance() need {
	return need{"the source is no SourceProvenance", implements[bulkexport.SourceProvenance]}
}

func needBlocks() need {
	return need{"the source is no SourceOrganizer by Patient", func(d DataSet) bool {
		s, ok := d.Source.(bulkexport.SourceOrganizer)
		return ok && s.OrganizesBy("Patient")
	}}
}

func needSnapshot() need {
	return need{"the source does not declare Snapshot", func(d DataSet) bool {
		s, ok := d.Source.(bulkexport.SourceConsistency)
		return ok && s.Consistency() == bulkexport.Snapshot
	}}
}

func implements[I any](d DataSet) bool {
	_, ok := d.Source.(I)
	return ok
}

func allCases() []testCase {
	return slices.Concat(
		basicCases(), orderCases(), bytesCases(), tenantCases(), compartmentCases(), timeCases(),
		deletionCases(), changeCases(), snapshotCases(), clockCases(), incrementalCases(),
		countingCases(), splittingCases(), groupCases(), patientCases(), tombstoneCases(),
		lookupCases(), provenanceCases(), blockCases(), cancellationCases(), releaseCases(),
		concurrencyCases(), persistenceCases(),
	)
}

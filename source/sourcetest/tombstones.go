package sourcetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

func tombstoneCases() []testCase {
	needs := []need{needDeletions(), needDelete()}
	with := func(more ...need) []need { return slices.Concat(needs, more) }
	return []testCase{
		{Tombstones, "after since", needs, deletedAfterSince},
		{Tombstones, "until", needs, deletedUntil},
		{Tombstones, "as of a moment", with(needClock()), deletedAsOf},
		{Tombstones, "what is created again", needs, deletedAndCreated},
		{Tombstones, "types", needs, deletionsOfType},
		{Tombstones, "the last version at Patient level", needs, deletedFromCompartment},
		{Tombstones, "the last version at Group level", with(needGroups()), deletedFromGroup},
		{Tombstones, "some patients", with(needPatients()), deletedFromSome},
		{Tombstones, "Provenance", needs, deletedProvenance},
		{Tombstones, "ranges", needs, rangesOfDeletions},
		{Tombstones, "keys keep their place", needs, deletionsLater},
		{Tombstones, "many", needs, manyDeletions},
		{Tenants, "deletions of one tenant", needs, deletionsOfOneTenant},
		{Snapshots, "creations are not seen", with(needSnapshot(), needClock()), creationUnseen},
		{Persistence, "deletions", with(needReopen()), reopenedDeletions},
	}
}

// tombstone is a copy of a deletion that a source yielded.
type tombstone struct {
	key []byte
	id  string
}

func collectDeletions(
	ctx context.Context, s bulkexport.ResourceSource, q bulkexport.Query,
) ([]tombstone, error) {
	var (
		all   []tombstone
		ended error
		seen  = make(map[string]bool)
	)
	for d, err := range s.(bulkexport.SourceDeletions).Deletions(ctx, q) {
		switch {
		case ended != nil:
			return nil, fmt.Errorf("the stream goes on after an error: %w", ended)
		case err != nil:
			ended = err
			continue
		case d.ID == "":
			return nil, errors.New("a deletion has no id")
		case len(d.Key) == 0 || len(d.Key) > maxKey:
			return nil, fmt.Errorf("%s has a key of %d bytes, not 1 to 1 Ki", d.ID, len(d.Key))
		case seen["key "+string(d.Key)] || seen["id "+d.ID]:
			return nil, fmt.Errorf("%s, or its key, is yielded more than once", d.ID)
		}
		seen["key "+string(d.Key)], seen["id "+d.ID] = true, true
		all = append(all, tombstone{bytes.Clone(d.Key), d.ID})
	}
	return all, ended
}

func (h *host) deletions(t tester, q bulkexport.Query) []tombstone {
	t.Helper()
	return h.deletionsFrom(t, h.Source, q)
}

func (h *host) deletionsFrom(
	t tester, s bulkexport.ResourceSource, q bulkexport.Query,
) (all []tombstone) {
	t.Helper()
	h.within(t, "Deletions: a query is answered", func(ctx context.Context) (err error) {
		all, err = collectDeletions(ctx, s, q)
		return err
	})
	return all
}

func idsOf(all []tombstone) []string {
	ids := make([]string, len(all))
	for i, d := range all {
		ids[i] = d.id
	}
	return ids
}

func (h *host) wantDeletions(t tester, rule string, q bulkexport.Query, want ...string) {
	t.Helper()
	wantNames(t, "Deletions: "+rule, idsOf(h.deletions(t, q)), want)
}

func wantTombstones(t tester, rule string, got, want []tombstone) {
	t.Helper()
	same := func(a, b tombstone) bool { return a.id == b.id && bytes.Equal(a.key, b.key) }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("Deletions: %s: got %v, want %v", rule, some(idsOf(got)), some(idsOf(want)))
	}
}

// deleted puts resources of a type, and returns what an increment asks for that
// begins before some are deleted.
func (h *host) deleted(t tester, resources []resource, gone ...int) bulkexport.Query {
	t.Helper()
	h.put(t, resources...)
	q := h.query(resources[0].typ)
	q.Since = h.moment(t)
	for _, i := range gone {
		h.remove(t, resources[i].typ, resources[i].id)
	}
	return q
}

func deletedAfterSince(t tester, h *host) {
	all := series("Observation", 6)
	first := h.deleted(t, all, 4, 1)
	h.put(t, all[2], all[0])
	second := first
	second.Since = h.moment(t)
	h.remove(t, "Observation", all[3].id)
	third := first
	third.Since = h.moment(t)
	const rule = "what was deleted after Since, and nothing else"
	h.wantDeletions(t, rule, first, all[1].id, all[3].id, all[4].id)
	h.wantDeletions(t, rule, second, all[3].id)
	h.wantDeletions(t, rule, third)
	if needClock().met(h.DataSet) {
		first.AsOf = h.cut(t)
		h.wantDeletions(t, rule, first, all[1].id, all[3].id, all[4].id)
	}
}

func deletedUntil(t tester, h *host) {
	all := series("Observation", 4)
	q := h.deleted(t, all, 0, 1)
	h.within(t, "time goes by", pause)
	// The moment itself may be that of the last change.
	q.Until = h.moment(t).Add(time.Millisecond)
	h.within(t, "time goes by", pause)
	h.within(t, "time goes by", pause)
	h.remove(t, "Observation", all[2].id)
	h.wantDeletions(t, "Until selects what was deleted earlier", q, all[0].id, all[1].id)
}

func deletedAsOf(t tester, h *host) {
	all := series("Observation", 4)
	q := h.deleted(t, all, 0, 1)
	q.AsOf = h.cut(t)
	h.remove(t, "Observation", all[2].id)
	h.wantDeletions(t, "AsOf selects what was deleted not later", q, all[0].id, all[1].id)
}

func deletedAndCreated(t tester, h *host) {
	all := series("Observation", 3)
	q := h.deleted(t, all, 0, 1)
	h.put(t, all[0])
	const rule = "what exists is not listed, what is deleted again is once"
	h.wantDeletions(t, rule, q, all[1].id)
	h.remove(t, "Observation", all[0].id)
	h.wantDeletions(t, rule, q, all[0].id, all[1].id)
	if needClock().met(h.DataSet) {
		q.AsOf = h.cut(t)
		h.wantDeletions(t, rule, q, all[0].id, all[1].id)
	}
}

func deletionsOfType(t tester, h *host) {
	observations, conditions := series("Observation", 3), series("Condition", 3)
	h.put(t, conditions...)
	q := h.deleted(t, observations, 0)
	h.remove(t, "Condition", conditions[0].id)
	h.remove(t, "Condition", conditions[1].id)
	const rule = "deletions are those of the type"
	h.wantDeletions(t, rule, q, observations[0].id)
	q.Type = "Condition"
	h.wantDeletions(t, rule, q, conditions[0].id, conditions[1].id)
	for _, q.Type = range []string{"Patient", "observation", "NoSuchType", ""} {
		h.wantDeletions(t, rule, q)
	}
}

func deletedFromCompartment(t tester, h *host) {
	h.population(t, 3)
	moved := []resource{
		{typ: "Observation", id: "in", members: refer("subject", "Location/l")},
		observation("out", "p1"),
	}
	h.put(t, moved...)
	moved[0].members, moved[1].members = moved[1].members, moved[0].members
	q := h.deleted(t, append(moved, resource{typ: "Observation", id: "none"}), 0, 1, 2)
	h.remove(t, "Observation", "o2")
	h.remove(t, "Patient", "p2")
	const rule = "the last version decides who was in the compartment"
	h.wantDeletions(t, rule, q, "in", "out", "none", "o2")
	q.Level = bulkexport.LevelPatient
	h.wantDeletions(t, rule, q, "in", "o2")
	q.Type = "Patient"
	h.wantDeletions(t, rule, q, "p2")
	q.Type = "Basic"
	h.wantDeletions(t, rule, q)
}

func deletedFromGroup(t tester, h *host) {
	h.population(t, 4)
	h.put(t, groupOf("g", "Patient/p1", "Group/h"), groupOf("h", "Patient/p2"), groupOf("other", "Patient/p1"))
	q := h.inGroup("Observation", "g")
	q.Since = h.moment(t)
	for _, id := range []string{"1", "2", "3"} {
		h.remove(t, "Observation", "o"+id)
	}
	h.remove(t, "Patient", "p2")
	h.remove(t, "Patient", "p4")
	h.remove(t, "Group", "other")
	const rule = "deletions at Group level are those of members"
	h.wantDeletions(t, rule, q, "o1", "o2")
	q.Type = "Patient"
	h.wantDeletions(t, rule, q, "p2")
	q.Type = "Group"
	h.wantDeletions(t, rule, q)
	if needPatients().met(h.DataSet) {
		q.Type, q.Patients = "Observation", limitTo("p2", "p3")
		h.wantDeletions(t, "deletions are limited to patients that are members", q, "o2")
	}
}

func deletedFromSome(t tester, h *host) {
	h.population(t, 3)
	q := h.limited("Observation", "p1", "p2")
	q.Since = h.moment(t)
	h.remove(t, "Observation", "o1")
	h.remove(t, "Observation", "o3")
	h.remove(t, "Patient", "p2")
	h.remove(t, "Patient", "p3")
	const rule = "Patients limits deletions"
	h.wantDeletions(t, rule, q, "o1")
	q.Type = "Patient"
	h.wantDeletions(t, rule, q, "p2")
	q.Patients = limitTo()
	h.wantDeletions(t, rule, q)
}

func deletedProvenance(t tester, h *host) {
	h.population(t, 1)
	q := h.deleted(t, []resource{
		provenance("in", "2026-01-01T00:00:00Z", "Observation/o1"),
		provenance("out", "2026-01-01T00:00:00Z", "Location/o1"),
	}, 0, 1)
	q.Level = bulkexport.LevelPatient
	h.wantDeletions(t, "a Provenance was in the compartments of its targets", q, "in")
}

// sequence deletes in another order than that of the ids, or that of creation.
func (h *host) sequence(t tester, n int) (bulkexport.Query, []resource, []tombstone) {
	t.Helper()
	resources := series("Observation", n)
	gone := make([]int, n)
	for i := range gone {
		gone[i] = (i*5 + 3) % n
	}
	q := h.deleted(t, resources, gone...)
	all := h.deletions(t, q)
	if len(all) != n {
		t.Fatalf("Deletions: each deleted resource is yielded: got %d, want %d", len(all), n)
	}
	return q, resources, all
}

func rangesOfDeletions(t tester, h *host) {
	q, _, all := h.sequence(t, 12)
	wantTombstones(t, "the same deletions come in the same order", h.deletions(t, q), all)
	for from := range all {
		q.After, q.UpTo = all[from].key, nil
		wantTombstones(t, "After excludes its key and all before", h.deletions(t, q), all[from+1:])
		q.After, q.UpTo = nil, all[from].key
		wantTombstones(t, "UpTo includes its key and all before", h.deletions(t, q), all[:from+1])
		for to := from; to < len(all); to++ {
			q.After, q.UpTo = all[from].key, all[to].key
			wantTombstones(t, "a range is (After, UpTo]", h.deletions(t, q), all[from+1:to+1])
		}
	}
}

func deletionsLater(t tester, h *host) {
	q, resources, all := h.sequence(t, 12)
	at := 5
	for _, r := range resources {
		if r.id == all[at].id {
			h.put(t, r)
		}
	}
	const rule = "a key keeps its place when its resource is created again"
	q.UpTo = all[at].key
	wantTombstones(t, rule, h.deletions(t, q), all[:at])
	q.After, q.UpTo = all[at].key, nil
	wantTombstones(t, rule, h.deletions(t, q), all[at+1:])
}

func manyDeletions(t tester, h *host) {
	resources := series("Observation", crowd)
	h.put(t, resources...)
	q := h.query("Observation")
	q.Since = h.moment(t)
	var want []string
	h.within(t, "DataSet.Delete: many resources are deleted", func(ctx context.Context) error {
		for _, r := range resources[:crowd-1] {
			want = append(want, r.id)
			if err := h.Delete(ctx, h.tenant, r.typ, r.id); err != nil {
				return err
			}
		}
		return nil
	})
	all := h.deletions(t, q)
	if len(all) < len(want)/2 {
		t.Fatalf("Deletions: each of many is yielded: got %d of %d", len(all), len(want))
	}
	wantNames(t, "Deletions: each of many is yielded", idsOf(all), want)
	q.After = all[len(all)/2].key
	wantTombstones(t, "a stream of many goes on after a key", h.deletions(t, q), all[len(all)/2+1:])
}

func deletionsOfOneTenant(t tester, h *host) {
	all := series("Observation", 3)
	h.putIn(t, "a", all...)
	h.tenant = "b"
	q := h.deleted(t, all, 1)
	h.tenant = "a"
	h.remove(t, "Observation", all[2].id)
	for name, want := range map[string]string{"a": all[2].id, "b": all[1].id} {
		q.Tenant = name
		h.wantDeletions(t, "a tenant sees its own deletions alone", q, want)
	}
}

func creationUnseen(t tester, h *host) {
	all := series("Observation", 3)
	q := h.deleted(t, all, 0, 1)
	q.AsOf = h.cut(t)
	h.put(t, all[0])
	const rule = "AsOf tells what exists, whatever was written since"
	h.wantDeletions(t, rule, q, all[0].id, all[1].id)
	h.remove(t, "Observation", all[0].id)
	h.wantDeletions(t, rule, q, all[0].id, all[1].id)
}

func reopenedDeletions(t tester, h *host) {
	q, _, all := h.sequence(t, 8)
	second := h.reopen()
	const rule = "deletions and their keys mean the same to a second source"
	wantTombstones(t, rule, h.deletionsFrom(t, second, q), all)
	q.After = all[3].key
	wantTombstones(t, rule, h.deletionsFrom(t, second, q), all[4:])
}

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

func blockCases() []testCase {
	needs := []need{needBlocks()}
	return []testCase{
		{Blocks, "a block for each patient", needs, blockForEach},
		{Blocks, "in the order of the patients", needs, blocksInOrder},
		{Blocks, "in several blocks", needs, inSeveralBlocks},
		{Blocks, "types", needs, blockTypes},
		{Blocks, "since and until", needs, blocksSince},
		{Blocks, "ranges", needs, rangesOfBlocks},
		{Blocks, "Group level", []need{needBlocks(), needGroups()}, blocksOfGroup},
		{Blocks, "some patients", []need{needBlocks(), needPatients()}, blocksOfSome},
		{Blocks, "Provenance", needs, blocksWithProvenance},
		{Blocks, "many", needs, manyBlocks},
		{Tenants, "blocks of one tenant", needs, blocksOfOneTenant},
		{Snapshots, "blocks", []need{needSnapshot(), needClock(), needBlocks()}, blocksAsOf},
	}
}

// block is a copy of one block that a source yielded.
type block struct {
	key    []byte
	owner  string
	labels []string
}

// blockReader checks the rules that hold for every stream of blocks.
type blockReader struct {
	q     bulkexport.Query
	types []string
	all   []block
	// owners and keys have had their blocks.
	owners, keys map[string]bool
	// Of the current block:
	ids, kinds map[string]bool
	kind       string
}

func collectBlocks(
	ctx context.Context, s bulkexport.ResourceSource, q bulkexport.Query, types []string,
) ([]block, error) {
	r := blockReader{q: q, types: types, owners: make(map[string]bool), keys: make(map[string]bool)}
	var ended error
	for b, err := range s.(bulkexport.SourceOrganizer).Blocks(ctx, q, slices.Clone(types)) {
		if ended != nil {
			return nil, fmt.Errorf("the stream goes on after an error: %w", ended)
		}
		if err != nil {
			ended = err
			continue
		}
		if err := r.add(b); err != nil {
			return nil, err
		}
	}
	return r.all, ended
}

func (r *blockReader) add(b bulkexport.BlockResource) error {
	it, id, err := newItem(b.Resource, b.Type)
	if err != nil {
		return err
	}
	if n := len(r.all); n == 0 || r.all[n-1].owner != b.Owner {
		if err := r.begin(b); err != nil {
			return err
		}
	}
	current := &r.all[len(r.all)-1]
	first := len(current.labels) == 0
	isOwner := id == r.q.Type+"/"+b.Owner
	switch {
	case !slices.Contains(r.types, b.Type):
		return fmt.Errorf("%s is of none of the types %v", id, r.types)
	case !bytes.Equal(current.key, b.Key):
		return fmt.Errorf("the block of %s has several keys", b.Owner)
	case r.ids[id]:
		return fmt.Errorf("%s comes twice in the block of %s", id, b.Owner)
	case isOwner && !first:
		return fmt.Errorf("%s is not the first of its block", id)
	case !isOwner && b.Type != r.kind && r.kinds[b.Type]:
		return fmt.Errorf("the block of %s is not ordered by type: %s again", b.Owner, b.Type)
	}
	r.ids[id] = true
	if !isOwner {
		r.kind, r.kinds[b.Type] = b.Type, true
	}
	current.labels = append(current.labels, it.label)
	return nil
}

func (r *blockReader) begin(b bulkexport.BlockResource) error {
	switch {
	case b.Owner == "":
		return errors.New("a block has no owner")
	case r.owners[b.Owner]:
		return fmt.Errorf("the block of %s is not in one piece", b.Owner)
	case r.keys[string(b.Key)]:
		return fmt.Errorf("the block of %s has the key of another", b.Owner)
	}
	r.owners[b.Owner], r.keys[string(b.Key)] = true, true
	r.ids, r.kinds, r.kind = make(map[string]bool), make(map[string]bool), ""
	r.all = append(r.all, block{key: bytes.Clone(b.Key), owner: b.Owner})
	return nil
}

func (h *host) blocks(t tester, q bulkexport.Query, types ...string) (all []block) {
	t.Helper()
	h.within(t, "Blocks: a query is answered", func(ctx context.Context) (err error) {
		all, err = collectBlocks(ctx, h.Source, q, types)
		return err
	})
	return all
}

// owned selects the blocks of all patients.
func (h *host) owned() bulkexport.Query {
	q := h.query("Patient")
	q.Level = bulkexport.LevelPatient
	return q
}

// wantBlocks compares without regard to the order of blocks, or in them.
func wantBlocks(t tester, rule string, got []block, want map[string][]string) {
	t.Helper()
	var has, wants []string
	for _, b := range got {
		for _, label := range b.labels {
			has = append(has, label+" in the block of "+b.owner)
		}
	}
	for owner, labels := range want {
		for _, label := range labels {
			wants = append(wants, label+" in the block of "+owner)
		}
	}
	wantNames(t, "Blocks: "+rule, has, wants)
}

func wantSameBlocks(t tester, rule string, got, want []block) {
	t.Helper()
	owners := func(all []block) (names []string) {
		for _, b := range all {
			names = append(names, b.owner)
		}
		return names
	}
	same := func(a, b block) bool {
		return a.owner == b.owner && bytes.Equal(a.key, b.key) && slices.Equal(a.labels, b.labels)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("Blocks: %s: got those of %s, want %s", rule, some(owners(got)), some(owners(want)))
	}
}

func blockForEach(t tester, h *host) {
	early := h.put(t, resource{typ: "Condition", id: "c2", members: refer("subject", "Patient/p2")})[0]
	patients, observations := h.population(t, 3)
	h.put(t, strangers()...)
	h.put(t, observation("orphan", "absent"))
	more := h.put(t,
		observation("more1", "p1"),
		resource{typ: "Condition", id: "c1", members: refer("subject", "Patient/p1")})
	want := map[string][]string{
		"p1": {patients[1], observations[1], more[0], more[1]},
		"p2": {patients[2], observations[2], early},
		"p3": {patients[3], observations[3]},
	}
	q := h.owned()
	const rule = "each resource is in the block of its patient"
	types := []string{"Condition", "Observation", "Organization", "Patient"}
	wantBlocks(t, rule, h.blocks(t, q, types...), want)
	q.Level = bulkexport.LevelSystem
	wantBlocks(t, rule+" at system level", h.blocks(t, q, types...), want)
}

// interleaved puts Observations of n patients in turns.
func (h *host) interleaved(t tester, n, each int) {
	t.Helper()
	patients := series("Patient", n)
	h.put(t, patients...)
	var observations []resource
	for i := range n * each {
		observations = append(observations, resource{
			typ: "Observation", id: fmt.Sprint("o", i),
			members: refer("subject", "Patient/"+patients[i*7%n].id),
		})
	}
	h.put(t, observations...)
}

func blocksInOrder(t tester, h *host) {
	h.interleaved(t, 9, 3)
	all := h.blocks(t, h.owned(), "Observation", "Patient")
	patients := h.read(t, h.owned())
	if len(all) != len(patients) {
		t.Fatalf("Blocks: each patient has a block: got %d of %d", len(all), len(patients))
	}
	for i, b := range all {
		if it := patients[i]; identity(it) != "Patient/"+b.owner || !bytes.Equal(it.key, b.key) {
			t.Errorf("Blocks: come in the order of the patients, with their keys: got %s at %s",
				b.owner, identity(it))
		}
		if b.labels[0] != patients[i].label {
			t.Errorf("Blocks: a block begins with its owner: got %s", b.labels[0])
		}
		if len(b.labels) != 4 {
			t.Errorf("Blocks: a block has all that belongs to its owner: got %d, want 4", len(b.labels))
		}
	}
}

func inSeveralBlocks(t tester, h *host) {
	patients, observations := h.population(t, 3)
	shared := h.put(t, observation("shared", "p2", "p1", "p2"))[0]
	wantBlocks(t, "a resource is in the block of each of its patients, once",
		h.blocks(t, h.owned(), "Patient", "Observation"), map[string][]string{
			"p1": {patients[1], observations[1], shared},
			"p2": {patients[2], observations[2], shared},
			"p3": {patients[3], observations[3]},
		})
}

func blockTypes(t tester, h *host) {
	patients, observations := h.population(t, 3)
	condition := h.put(t, resource{typ: "Condition", id: "c", members: refer("subject", "Patient/p2")})
	q := h.owned()
	wantBlocks(t, "a block has the types asked for", h.blocks(t, q, "Observation"), map[string][]string{
		"p1": observations[1:2], "p2": observations[2:3], "p3": observations[3:],
	})
	wantBlocks(t, "what would be empty is no block", h.blocks(t, q, "Condition"), map[string][]string{
		"p2": condition,
	})
	wantBlocks(t, "a block may have its owner alone", h.blocks(t, q, "Patient"), map[string][]string{
		"p1": patients[1:2], "p2": patients[2:3], "p3": patients[3:],
	})
	wantBlocks(t, "no types give no blocks", h.blocks(t, q), nil)
	wantBlocks(t, "unknown types give no blocks", h.blocks(t, q, "NoSuchType", "Organization"), nil)
}

func blocksSince(t tester, h *host) {
	patients, observations := h.population(t, 3)
	since := h.moment(t)
	fresh := h.put(t, observation("new1", "p1"), resource{typ: "Patient", id: "p3"})
	q := h.owned()
	q.Since = since
	wantBlocks(t, "Since selects resources only: a block may lack its owner",
		h.blocks(t, q, "Patient", "Observation"), map[string][]string{"p1": fresh[:1], "p3": fresh[1:]})
	q.Since, q.Until = time.Time{}, since.Add(time.Millisecond)
	h.within(t, "time goes by", pause)
	h.put(t, resource{typ: "Patient", id: "p2"})
	got := h.blocks(t, q, "Patient", "Observation")
	for _, b := range got {
		if b.owner == "p2" {
			wantNames(t, "Blocks: Until selects resources only: a block may lack its owner", b.labels,
				observations[2:3])
		}
	}
	if !slices.ContainsFunc(got, func(b block) bool { return b.owner == "p1" && b.labels[0] == patients[1] }) {
		t.Errorf("Blocks: Until selects what was updated earlier: %s is missing", patients[1])
	}
}

func rangesOfBlocks(t tester, h *host) {
	h.interleaved(t, 8, 2)
	q := h.owned()
	all := h.blocks(t, q, "Patient", "Observation")
	patients := h.read(t, h.owned())
	if len(all) != 8 || len(patients) != 8 {
		t.Fatalf("Blocks: each of 8 patients has a block: got %d, and %d patients", len(all), len(patients))
	}
	for from := range patients {
		q.After, q.UpTo = patients[from].key, nil
		wantSameBlocks(t, "After excludes the block of its key and all before",
			h.blocks(t, q, "Patient", "Observation"), all[from+1:])
		q.After, q.UpTo = nil, patients[from].key
		wantSameBlocks(t, "UpTo includes the block of its key and all before",
			h.blocks(t, q, "Patient", "Observation"), all[:from+1])
	}
	q.After, q.UpTo = patients[2].key, patients[5].key
	wantSameBlocks(t, "a range is (After, UpTo]", h.blocks(t, q, "Patient", "Observation"), all[3:6])
}

func blocksOfGroup(t tester, h *host) {
	patients, observations := h.population(t, 3)
	group := h.put(t, groupOf("g", "Patient/p1", "Patient/p2"))
	h.put(t, groupOf("other", "Patient/p1"), groupOf("empty"))
	h.put(t, resource{typ: "Observation", id: "namesake", members: refer("subject", "Patient/p3") +
		`,"performer":[{"reference":"Location/p1"}]`})
	q := h.inGroup("Patient", "g")
	wantBlocks(t, "a Group has the blocks of its members", h.blocks(t, q, "Patient", "Observation", "Group"),
		map[string][]string{
			"p1": {patients[1], observations[1], group[0]},
			"p2": {patients[2], observations[2], group[0]},
		})
	q.Group = "empty"
	wantBlocks(t, "a Group without members has no blocks", h.blocks(t, q, "Patient", "Observation", "Group"), nil)
}

func blocksOfSome(t tester, h *host) {
	patients, observations := h.population(t, 3)
	shared := h.put(t, observation("shared", "p1", "p2"))[0]
	q := h.limited("Patient", "p2", "none")
	wantBlocks(t, "Patients limits blocks", h.blocks(t, q, "Patient", "Observation"),
		map[string][]string{"p2": {patients[2], observations[2], shared}})
	q.Patients = limitTo()
	wantBlocks(t, "Patients limited to none gives no blocks", h.blocks(t, q, "Patient", "Observation"), nil)
}

func blocksWithProvenance(t tester, h *host) {
	want := h.provenances(t, 2)
	both := h.put(t, provenance("both", anyday, "Patient/p1", "Observation/o1", "Observation/o2"))[0]
	h.put(t, provenance("none", anyday, "Organization/o"))
	wantBlocks(t, "a Provenance is in the blocks of its targets' patients", h.blocks(t, h.owned(), "Provenance"),
		map[string][]string{"p1": {want[1], both}, "p2": {want[2], both}})
}

func manyBlocks(t tester, h *host) {
	const owners, each = 701, 3
	h.interleaved(t, owners, each)
	all := h.blocks(t, h.owned(), "Patient", "Observation")
	if len(all) != owners {
		t.Errorf("Blocks: each of many patients has a block: got %d of %d", len(all), owners)
	}
	for _, b := range all {
		if len(b.labels) != 1+each {
			t.Fatalf("Blocks: each of many blocks is whole: got %d resources, want %d", len(b.labels), 1+each)
		}
	}
}

func blocksOfOneTenant(t tester, h *host) {
	about := observation("o", "p")
	h.putIn(t, "a", resource{typ: "Patient", id: "p"}, about, resource{typ: "Patient", id: "q"})
	want := h.putIn(t, "b", resource{typ: "Patient", id: "p"}, about)
	q := h.owned()
	q.Tenant = "b"
	wantBlocks(t, "a tenant has its own blocks alone", h.blocks(t, q, "Patient", "Observation"),
		map[string][]string{"p": want})
}

func blocksAsOf(t tester, h *host) {
	h.interleaved(t, 5, 2)
	q := h.owned()
	q.AsOf = h.cut(t)
	before := h.blocks(t, q, "Patient", "Observation")
	h.put(t, series("Patient", 5)[1:3]...)
	h.put(t, resource{typ: "Observation", id: "o3"}, resource{typ: "Patient", id: "new"},
		observation("late", "new"))
	if h.Delete != nil {
		h.remove(t, "Patient", series("Patient", 5)[4].id)
	}
	wantSameBlocks(t, unmoved, h.blocks(t, q, "Patient", "Observation"), before)
}

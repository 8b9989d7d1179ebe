package sourcetest

import (
	"context"
	"time"

	"github.com/bulkexport/bulkexport"
)

func splittingCases() []testCase {
	needs := []need{needSplitter()}
	return []testCase{
		{Splitting, "nothing to split", needs, splitNothing},
		{Splitting, "ranges add up", needs, rangesAddUp},
		{Splitting, "ranges of a range", needs, splitRange},
		{Splitting, "ranges of similar size", needs, similarSize},
		{Splitting, "Patient level", needs, splitCompartment},
		{Splitting, "changes after the cut", needs, splitThenChange},
		{Splitting, "an increment", []need{needSplitter(), needClock()}, splitIncrement},
	}
}

func (h *host) split(t tester, q bulkexport.Query, size int64) [][]byte {
	t.Helper()
	var cuts [][]byte
	h.within(t, "Split: a query is cut", func(ctx context.Context) (err error) {
		cuts, err = h.Source.(bulkexport.SourceSplitter).Split(ctx, q, size)
		return err
	})
	for _, cut := range cuts {
		if len(cut) == 0 || len(cut) > maxKey {
			t.Fatalf("Split: a cut is a key of at most 1 KiB: got %d bytes", len(cut))
		}
	}
	return cuts
}

// wantPartition reads the ranges between cuts and compares with all of them.
// Only ascending cuts within the range give the same sequence.
func (h *host) wantPartition(t tester, q bulkexport.Query, cuts [][]byte, want []item) [][]item {
	t.Helper()
	ranges := h.readRanges(t, h.Source, q, cuts)
	var got []item
	for _, items := range ranges {
		got = append(got, items...)
	}
	wantSequence(t, "the ranges between cuts add up to the whole, in order", got, want)
	return ranges
}

func splitNothing(t tester, h *host) {
	if cuts := h.split(t, h.query("Observation"), 10); len(cuts) > 0 {
		t.Errorf("Split: what is empty is not cut: got %d cuts", len(cuts))
	}
	h.put(t, series("Observation", 3)...)
	all := h.read(t, h.query("Observation"))
	q := h.query("Observation")
	q.After = all[2].key
	h.wantPartition(t, q, h.split(t, q, 1), nil)
}

func rangesAddUp(t tester, h *host) {
	_, all := ordered(t, h, 50)
	q := h.query("Observation")
	for _, size := range []int64{1, 3, 10, 49, 50, 51, 1 << 40} {
		h.wantPartition(t, q, h.split(t, q, size), all)
	}
}

func splitRange(t tester, h *host) {
	_, all := ordered(t, h, 50)
	q := h.query("Observation")
	q.After, q.UpTo = all[9].key, all[39].key
	h.wantPartition(t, q, h.split(t, q, 5), all[10:40])
	q.UpTo = nil
	h.wantPartition(t, q, h.split(t, q, 5), all[10:])
	q.After, q.UpTo = nil, all[39].key
	h.wantPartition(t, q, h.split(t, q, 5), all[:40])
}

func similarSize(t tester, h *host) {
	const size = 50
	h.put(t, series("Condition", crowd/2)...)
	h.put(t, series("Observation", crowd)...)
	q := h.query("Observation")
	all := h.read(t, q)
	cuts := h.split(t, q, size)
	if len(cuts) == 0 {
		return
	}
	for _, items := range h.wantPartition(t, q, cuts, all) {
		if len(items) > 4*size {
			t.Errorf("Split: ranges select about %d resources: got one of %d", size, len(items))
		}
	}
	if most := 4 * crowd / size; len(cuts) > most {
		t.Errorf("Split: ranges select about %d resources: got %d cuts, above %d", size, len(cuts), most)
	}
}

func splitCompartment(t tester, h *host) {
	h.put(t, resource{typ: "Patient", id: "p"})
	for i, r := range series("Observation", 60) {
		if i%4 == 0 {
			r.members = refer("subject", "Patient/p")
		}
		h.put(t, r)
	}
	q := h.query("Observation")
	q.Level = bulkexport.LevelPatient
	h.wantPartition(t, q, h.split(t, q, 4), h.read(t, q))
}

func splitThenChange(t tester, h *host) {
	resources, _ := ordered(t, h, 40)
	q := h.query("Observation")
	cuts := h.split(t, q, 8)
	h.put(t, resources[10:20]...)
	h.put(t, resource{typ: "Observation", id: "new"})
	h.wantPartition(t, q, cuts, h.read(t, q))
}

func splitIncrement(t tester, h *host) {
	resources, _ := ordered(t, h, 40)
	since := h.cut(t)
	h.put(t, resources[5:30]...)
	q := h.asOf("Observation", since, h.cut(t))
	all := h.read(t, q)
	if len(all) != 25 {
		t.Errorf("Resources: Since selects what was updated later: got %d, want 25", len(all))
	}
	h.wantPartition(t, q, h.split(t, q, 5), all)
	h.wantPartition(t, h.asOf("Observation", time.Time{}, q.AsOf), h.split(t, q, 5),
		h.read(t, h.asOf("Observation", time.Time{}, q.AsOf)))
}

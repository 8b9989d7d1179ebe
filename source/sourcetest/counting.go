package sourcetest

import (
	"context"

	"github.com/bulkexport/bulkexport"
)

func countingCases() []testCase {
	needs := []need{needCounter()}
	return []testCase{
		{Counting, "nothing", needs, countNothing},
		{Counting, "any query", needs, countAnyQuery},
	}
}

func (h *host) count(t tester, q bulkexport.Query) int64 {
	t.Helper()
	var n int64
	h.within(t, "Count: a query is counted", func(ctx context.Context) (err error) {
		n, err = h.Source.(bulkexport.SourceCounter).Count(ctx, q)
		return err
	})
	return n
}

func countNothing(t tester, h *host) {
	for _, typ := range []string{"Patient", "NoSuchType"} {
		if n := h.count(t, h.query(typ)); n != 0 {
			t.Errorf("Count: an empty scope has no resources: got %d", n)
		}
	}
}

func countAnyQuery(t tester, h *host) {
	_, all := ordered(t, h, 30)
	q := h.query("Observation")
	queries := []bulkexport.Query{q}
	q.After = all[10].key
	queries = append(queries, q)
	q.UpTo = all[20].key
	queries = append(queries, q)
	q.Level = bulkexport.LevelPatient
	queries = append(queries, q)
	q.Since, q.AsOf = h.lastUpdate().UTC(), h.lastUpdate().UTC()
	queries = append(queries, q)
	for _, q := range queries {
		if n := h.count(t, q); n < 0 {
			t.Errorf("Count: a number of resources is not negative: got %d", n)
		}
	}
}

package sourcetest

import (
	"context"
	"time"

	"github.com/bulkexport/bulkexport"
)

func persistenceCases() []testCase {
	return []testCase{
		{Persistence, "the same data", []need{needReopen()}, reopenedData},
		{Persistence, "keys keep their meaning", []need{needReopen()}, reopenedKeys},
		{Persistence, "cuts keep their meaning", []need{needReopen(), needSplitter()}, reopenedCuts},
		{Persistence, "the clock of another process", []need{needReopen(), needClock()}, reopenedClock},
	}
}

func reopenedData(t tester, h *host) {
	second := h.reopen()
	want := h.put(t, series("Patient", 20)...)
	got := h.readFrom(t, second, h.query("Patient"))
	wantLabels(t, "a second source sees what was put after it was opened", got, want)
	wantSequence(t, "two sources yield the same sequence", got, h.read(t, h.query("Patient")))
}

func reopenedKeys(t tester, h *host) {
	_, all := ordered(t, h, 20)
	second := h.reopen()
	q := h.query("Observation")
	for k := range all {
		q.After, q.UpTo = all[k].key, nil
		wantSequence(t, "After means the same to a second source", h.readFrom(t, second, q), all[k+1:])
		q.After, q.UpTo = nil, all[k].key
		wantSequence(t, "UpTo means the same to a second source", h.readFrom(t, second, q), all[:k+1])
	}
}

func reopenedCuts(t tester, h *host) {
	_, all := ordered(t, h, 40)
	q := h.query("Observation")
	var got []item
	for _, items := range h.readRanges(t, h.reopen(), q, h.split(t, q, 7)) {
		got = append(got, items...)
	}
	wantSequence(t, "cuts mean the same to a second source", got, all)
}

func reopenedClock(t tester, h *host) {
	second := h.reopen().(bulkexport.SourceClock)
	for range 50 {
		var at time.Time
		h.within(t, "TransactionTime: a moment is told", func(ctx context.Context) (err error) {
			at, err = second.TransactionTime(ctx, h.tenant)
			return err
		})
		if _, updated := h.putOne(t, resource{typ: "Patient", id: "p"}); !updated.After(at) {
			t.Fatalf("TransactionTime: a later commit by another process has a later last update: "+
				"got %v, at or before %v", updated, at)
		}
	}
}

package sourcetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkexport/bulkexport"
)

func clockCases() []testCase {
	needs := []need{needClock()}
	return []testCase{
		{Clock, "never goes back", needs, neverBack},
		{Clock, "a change is later than every cut before it", needs, laterThanCut},
		{Clock, "what was put is visible", needs, putIsVisible},
		{Clock, "an unknown tenant", needs, clockOfUnknownTenant},
		{Clock, "no late commit", needs, noLateCommit},
	}
}

func (h *host) exactTime(t tester) time.Time {
	t.Helper()
	var at time.Time
	h.within(t, "TransactionTime: a moment is told", func(ctx context.Context) (err error) {
		at, err = h.Source.(bulkexport.SourceClock).TransactionTime(ctx, h.tenant)
		return err
	})
	return at
}

func neverBack(t tester, h *host) {
	last := h.exactTime(t)
	for i := range 100 {
		if i%3 == 0 {
			h.put(t, resource{typ: "Patient", id: "p"})
		}
		at := h.exactTime(t)
		if at.Before(last) {
			t.Fatalf("TransactionTime: does not go back: %v after %v", at, last)
		}
		last = at
	}
}

func laterThanCut(t tester, h *host) {
	for range 100 {
		at := h.exactTime(t)
		label, updated := h.putOne(t, resource{typ: "Patient", id: "p"})
		if !updated.After(at) {
			t.Fatalf("TransactionTime: a later commit has a later last update: got %v, at or before %v",
				updated, at)
		}
		q := h.query("Patient")
		q.Since = at.UTC().Truncate(time.Millisecond)
		const rule = "a change after transactionTime is visible since then"
		wantLabels(t, rule, h.read(t, q), []string{label})
	}
}

func putIsVisible(t tester, h *host) {
	for range 20 {
		label, updated := h.putOne(t, resource{typ: "Patient", id: "p"})
		at := h.cut(t)
		q := h.query("Patient")
		q.AsOf = at
		wantLabels(t, fmt.Sprintf("what was updated at %v is visible at %v", updated, at),
			h.read(t, q), []string{label})
	}
}

func clockOfUnknownTenant(t tester, h *host) {
	h.tenant += "unknown"
	if at := h.exactTime(t); at.IsZero() {
		t.Errorf("TransactionTime: a tenant without data has a time as well: got the zero time")
	}
}

// noLateCommit notes what is visible at moments while writers work, and compares
// that with what they say in the end was updated up to then.
func noLateCommit(t tester, h *host) {
	const writers = 4
	type view struct {
		at    time.Time
		items []item
	}
	var (
		log   writeLog
		views []view
		fns   []func(context.Context) error
	)
	log.busy.Store(writers)
	for w := range writers {
		fns = append(fns, func(ctx context.Context) error { return log.write(ctx, h, w) })
	}
	fns = append(fns, func(ctx context.Context) error {
		for last := false; !last; {
			last = log.busy.Load() == 0
			at, err := h.Source.(bulkexport.SourceClock).TransactionTime(ctx, h.tenant)
			if err != nil {
				return err
			}
			items, err := collect(ctx, h.Source, h.asOf("Observation", time.Time{}, at.UTC()))
			if err != nil {
				return err
			}
			views = append(views, view{at, items})
		}
		return nil
	})
	h.together(t, "TransactionTime: moments are told while others write", fns...)
	for _, v := range views {
		want := labelsIf(log.all, func(u time.Time) bool { return !u.After(v.at) })
		if missing := difference(want, labels(v.items)); len(missing) > 0 {
			t.Errorf("TransactionTime: what was updated up to it is committed: missing %s", some(missing))
		}
	}
}

// writeLog is what several writers have put.
type writeLog struct {
	busy atomic.Int64

	mu  sync.Mutex
	all []stamped
}

// write puts new resources, with pauses in which others see them.
func (l *writeLog) write(ctx context.Context, h *host, writer int) error {
	defer l.busy.Add(-1)
	for i := range 40 {
		r := resource{typ: "Observation", id: fmt.Sprintf("%d-%d", writer, i)}
		names, updated, err := h.store(ctx, h.tenant, r)
		if err != nil {
			return err
		}
		l.mu.Lock()
		l.all = append(l.all, stamped{names[0], updated})
		l.mu.Unlock()
		if i%4 > 0 {
			continue
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return nil
}

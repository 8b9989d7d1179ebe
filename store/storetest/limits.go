package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
)

func limitCases() []testCase {
	return []testCase{
		{Limits, "burst goes through, and then nothing", ofLimiters(limitBurst)},
		{Limits, "what is refused costs nothing", ofLimiters(limitRefusals)},
		{Limits, "random calls are answered as by a model", ofLimiters(limitSequences)},
		{Limits, "keys are compared byte for byte", ofLimiters(limitKeys)},
		{Limits, "who waits as long as told succeeds, and nobody before", ofLimiters(limitWaits)},
		{Limits, "once is once, for as long as it costs", ofLimiters(limitOnce)},
		{Limits, "an ended context ends the call", ofLimiters(limitCancelled)},
	}
}

// limitRaceCases spread their calls over both limiters.
func limitRaceCases() []testCase {
	return []testCase{
		{Atomicity, "of many takes at once as many succeed as may", ofLimiters(limitRace)},
		{Atomicity, "of many takes at once of what happens once, one succeeds", ofLimiters(limitRaceOnce)},
	}
}

// limiters are those of two stores, and how to open one more, if there is a way.
type limiters struct {
	own, rivals bulkexport.Limiter
	reopen      func() (s bulkexport.JobStore, release func())
}

// ofLimiters makes the body of a case that has nothing to say of a store that does
// not limit.
func ofLimiters(run func(t tester, on limiters)) func(tester, stores) {
	return func(t tester, on stores) {
		own, ok := on.s.(bulkexport.Limiter)
		rivals, both := on.rival.(bulkexport.Limiter)
		if ok && both {
			run(t, limiters{own, rivals, on.reopen})
		}
	}
}

// The unit of what cases owe that is not to be paid off while they run.
const unit = time.Hour

// mustTake expects an answer.
func mustTake(t tester, l bulkexport.Limiter, key string, cost, burst time.Duration) time.Duration {
	t.Helper()
	wait, err := l.Take(t.Context(), key, cost, burst)
	if err != nil {
		t.Fatalf("Take: a store that limits counts; got error: %v", err)
	}
	return wait
}

// wantTaken expects that there is room for the cost.
func wantTaken(t tester, rule string, l bulkexport.Limiter, key string, cost, burst time.Duration) {
	t.Helper()
	if wait := mustTake(t, l, key, cost, burst); wait != 0 {
		t.Errorf("Take: %s: got a wait of %v, want none", rule, wait)
	}
}

// wantWait expects to be told how long to wait, of which as much may be over as has
// passed since an earlier time.
func wantWait(t tester, rule string, got, want time.Duration, since time.Time) {
	t.Helper()
	if least := want - time.Since(since) - time.Millisecond; got > want || got <= 0 || got < least {
		t.Errorf("Take: %s: got a wait of %v, want one from %v to %v", rule, got, max(least, 1), want)
	}
}

func limitBurst(t tester, on limiters) {
	begun := time.Now()
	for i := range 5 {
		wantTaken(t, fmt.Sprintf("call %d of 5 that may be at once", i+1), on.own, "a", unit, 5*unit)
	}
	wantWait(t, "there is room for one in as long as it costs", mustTake(t, on.own, "a", unit, 5*unit), unit, begun)
	wantTaken(t, "another key owes nothing", on.own, "b", unit, 5*unit)
	wantTaken(t, "a higher burst has room", on.own, "a", unit, 6*unit)
	wantTaken(t, "the highest burst has room", on.own, "c", bulkexport.MaxBurst, bulkexport.MaxBurst)
	wantWait(t, "the highest burst is counted", mustTake(t, on.own, "c", unit, bulkexport.MaxBurst), unit, begun)
}

func limitRefusals(t tester, on limiters) {
	begun := time.Now()
	wantTaken(t, "a new key owes nothing", on.own, "a", 2*unit, 3*unit)
	for range 20 {
		wantWait(t, "what is refused costs nothing", mustTake(t, on.own, "a", 3*unit, 3*unit), 2*unit, begun)
	}
	wantTaken(t, "there is room for less", on.own, "a", unit, 3*unit)
}

// limitKeys takes from each key once. Keys that count as one would be refused.
func limitKeys(t tester, on limiters) {
	begun, long := time.Now(), strings.Repeat("k", 10_000)
	keys := slices.Concat(tenants(), []string{
		long, long + "k", "a\x00b", "a\x00c", "a", "\x00", "\xff", "\xfe", "\xff\xfe",
	})
	for _, key := range keys {
		wantTaken(t, fmt.Sprintf("key %.40q owes nothing for others", key), on.own, key, unit, unit)
	}
	for _, key := range keys {
		wait := mustTake(t, on.own, key, unit, unit)
		wantWait(t, fmt.Sprintf("key %.40q is known again", key), wait, unit, begun)
	}
}

// taking is a call with so many units.
type taking struct {
	key         string
	cost, burst time.Duration
}

func takings() *rapid.Generator[[]taking] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) taking {
		cost := rapid.IntRange(1, 4).Draw(t, "cost")
		return taking{
			key:   rapid.SampledFrom([]string{"a", "b", "A"}).Draw(t, "key"),
			cost:  time.Duration(cost) * unit,
			burst: time.Duration(cost+rapid.IntRange(0, 8).Draw(t, "more")) * unit,
		}
	}), 1, 20)
}

// limitSequences compares with a model for which no time passes: the unit is too long
// for the difference to matter.
func limitSequences(t tester, on limiters) {
	series := 0
	rapid.Check(t, func(rt *rapid.T) {
		series++
		begun, owed := time.Now(), map[string]time.Duration{}
		for i, c := range takings().Draw(rt, "calls") {
			wait, err := on.own.Take(t.Context(), fmt.Sprint(series, " ", c.key), c.cost, c.burst)
			want := max(0, owed[c.key]+c.cost-c.burst)
			if want == 0 {
				owed[c.key] += c.cost
			}
			passed := time.Since(begun) + time.Millisecond
			if err != nil || wait > want || wait < want-passed || wait <= 0 && want > 0 {
				rt.Fatalf("call %d, Take(%q, %v, %v): got %v, error %v, want %v", i+1, c.key, c.cost, c.burst, wait, err, want)
			}
		}
	})
}

// limitPatience is how long a case asks again and again for what is to be free in
// some milliseconds.
const limitPatience = 2 * time.Second

// limitWaits asks without a pause. A call that begins when the first wait is over has
// to succeed; one that ends before as much time has passed as is owed must not.
func limitWaits(t tester, on limiters) {
	const cost, burst = 40 * time.Millisecond, 80 * time.Millisecond
	for _, key := range []string{"a", "b", "c"} {
		begun := time.Now()
		wantTaken(t, "a new key owes nothing", on.own, key, burst, burst)
		wait := mustTake(t, on.own, key, cost, burst)
		told := time.Now()
		if wait < 0 || wait > cost {
			t.Errorf("Take: there is room again in as long as it costs: got a wait of %v, want at most %v", wait, cost)
		}
		for again := wait; again > 0; {
			asked := time.Now()
			if again = mustTake(t, on.own, key, cost, burst); again > 0 && asked.After(told.Add(wait)) {
				t.Errorf("Take: who waits as long as told succeeds: got another wait after %v, was told %v",
					asked.Sub(told), wait)
				return
			}
		}
		if passed := time.Since(begun); passed < cost-time.Millisecond {
			t.Errorf("Take: nobody succeeds before there is room: got it after %v, want %v", passed, cost)
		}
	}
}

// limitOnce is what keeps a token from being used twice.
func limitOnce(t tester, on limiters) {
	begun := time.Now()
	wantTaken(t, "the first use succeeds", on.own, "token", unit, unit)
	for range 10 {
		wantWait(t, "there is no second use", mustTake(t, on.own, "token", unit, unit), unit, begun)
	}
	const short = 20 * time.Millisecond
	wantTaken(t, "the first use succeeds", on.own, "short", short, short)
	for mustTake(t, on.own, "short", short, short) > 0 {
		if time.Since(begun) > limitPatience {
			t.Errorf("Take: what is owed goes down by itself: got a wait after %v, for %v", limitPatience, short)
			return
		}
	}
}

func limitCancelled(t tester, on limiters) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("another cause"))
	_, err := on.own.Take(ctx, "a", unit, unit)
	wantErr(t, "Take: an ended context ends the call", err, context.Canceled)
	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	_, err = on.own.Take(late, "a", unit, unit)
	wantErr(t, "Take: a passed deadline ends the call", err, context.DeadlineExceeded)
	wantTaken(t, "a call whose context has ended before costs nothing", on.own, "a", unit, unit)
}

func limitRace(t tester, on limiters) { wantWinners(t, on, 10, 40) }

func limitRaceOnce(t tester, on limiters) { wantWinners(t, on, 1, 20) }

// wantWinners makes calls at once, of which so many may succeed.
func wantWinners(t tester, on limiters, allowed, calls int) {
	t.Helper()
	var won atomic.Int64
	errs := make([]error, calls)
	together(calls, func(i int) {
		l := on.own
		if i%2 == 1 {
			l = on.rivals
		}
		wait, err := l.Take(t.Context(), "a", unit, time.Duration(allowed)*unit)
		if errs[i] = err; err == nil && wait == 0 {
			won.Add(1)
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("Take: calls at once are counted; got error: %v", err)
	}
	if got := won.Load(); got != int64(allowed) {
		t.Errorf("Take: of calls at once as many succeed as if one came after the other: got %d, want %d", got, allowed)
	}
	if mustTake(t, on.own, "a", unit, time.Duration(allowed)*unit) == 0 {
		t.Errorf("Take: what was taken at once is owed: got no wait afterwards")
	}
}

// limitOfRival has both stores count together, and a third one go on.
func limitOfRival(t tester, on limiters) {
	begun := time.Now()
	wantTaken(t, "a new key owes nothing", on.own, "a", unit, 2*unit)
	wantTaken(t, "there is room for a second", on.rivals, "a", unit, 2*unit)
	wantWait(t, "what another store was asked for counts", mustTake(t, on.own, "a", unit, 2*unit), unit, begun)
	wantWait(t, "what another store was asked for counts", mustTake(t, on.rivals, "a", unit, 2*unit), unit, begun)
	s, release := on.reopen()
	defer release()
	reopened, ok := s.(bulkexport.Limiter)
	if !ok {
		t.Fatalf("Take: a store that limits does so when it is opened again")
	}
	wantWait(t, "what is owed outlives the store", mustTake(t, reopened, "a", unit, 2*unit), unit, begun)
}

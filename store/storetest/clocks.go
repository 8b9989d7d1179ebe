package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/bulkexport/bulkexport"
)

func clockCases() []testCase {
	return []testCase{
		{Clocks, "the time is in UTC", ofClocks(clockInUTC)},
		{Clocks, "the time goes on and never back", ofClocks(clockGoesOn)},
		{Clocks, "an ended context ends the call", ofClocks(clockCancelled)},
	}
}

// clocks are those of two stores.
type clocks struct{ own, rivals bulkexport.StoreClock }

// ofClocks makes the body of a case that has nothing to say of a store without a
// clock.
func ofClocks(run func(t tester, on clocks)) func(tester, stores) {
	return func(t tester, on stores) {
		own, ok := on.s.(bulkexport.StoreClock)
		rivals, both := on.rival.(bulkexport.StoreClock)
		if !ok || !both {
			return
		}
		if _, err := own.Time(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			run(t, clocks{own, rivals})
		}
	}
}

// tell returns the time, which the clock is expected to have.
func tell(t tester, clock bulkexport.StoreClock) time.Time {
	t.Helper()
	at, err := clock.Time(t.Context())
	if err != nil {
		t.Fatalf("Time: a store that has a clock tells the time; got error: %v", err)
	}
	return at
}

func clockInUTC(t tester, on clocks) {
	if at := tell(t, on.own); at.Location() != time.UTC {
		t.Errorf("Time: is in UTC: got %v", at)
	}
}

func clockGoesOn(t tester, on clocks) { wantProgress(t, on.own, on.own) }

// clockOfRival has the clocks of both stores be one.
func clockOfRival(t tester, on clocks) { wantProgress(t, on.own, on.rivals) }

// wantProgress asks two clocks in turn, a number of times, and longer until the
// time has changed.
func wantProgress(t tester, clocks ...bulkexport.StoreClock) {
	t.Helper()
	const calls, patience = 200, 2 * time.Second
	first, began := tell(t, clocks[0]), time.Now()
	last := first
	for i := 1; i < calls || last.Equal(first); i++ {
		at := tell(t, clocks[i%len(clocks)])
		if at.Before(last) {
			t.Errorf("Time: does not go back: got %v after %v", at, last)
			return
		}
		last = at
		if i >= calls && time.Since(began) > patience {
			t.Errorf("Time: goes on: got %v for %v", at, patience)
			return
		}
	}
}

func clockCancelled(t tester, on clocks) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("another cause"))
	_, err := on.own.Time(ctx)
	wantErr(t, "Time: an ended context ends the call", err, context.Canceled)
}

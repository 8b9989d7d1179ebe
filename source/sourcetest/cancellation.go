package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"time"
)

func cancellationCases() []testCase {
	return []testCase{
		{Cancellation, "before a call", nil, cancelledCall},
		{Cancellation, "before a stream", nil, cancelledBefore},
		{Cancellation, "in a stream", nil, cancelledWithin},
		{Cancellation, "after a deadline", nil, deadline},
		{Cancellation, "waiting for others", []need{needBlock()}, deadlineWaiting},
		{Cancellation, "others go on", nil, othersGoOn},
	}
}

func cancelledCall(t tester, h *host) {
	h.put(t, series("Patient", 20)...)
	if needGroups().met(h.DataSet) {
		h.put(t, groupOf("g", "Patient/p1"))
	}
	for name, call := range h.calls(h.query("Patient")) {
		rule := name + ": an ended context ends the call with its error"
		h.within(t, rule, func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return wantError(call(ctx), context.Canceled)
		})
	}
}

// wantError returns an error unless got wraps want.
func wantError(got, want error) error {
	switch {
	case errors.Is(got, want):
		return nil
	case got == nil:
		return fmt.Errorf("none, instead of one that wraps %q", want.Error())
	}
	return fmt.Errorf("not one that wraps %q: %w", want.Error(), got)
}

func cancelledBefore(t tester, h *host) {
	h.put(t, series("Patient", 20)...)
	h.population(t, 2)
	for name, stream := range h.streams(h.query("Patient")) {
		rule := name + ": an ended context ends the stream with its error"
		h.within(t, rule, func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			items := 0
			err := stream(ctx, func() bool { items++; return true })
			if items > 0 {
				return fmt.Errorf("%d resources are yielded", items)
			}
			return wantError(err, context.Canceled)
		})
	}
}

func cancelledWithin(t tester, h *host) {
	h.put(t, series("Patient", crowd)...)
	const rule = "Resources: a stream ends with its context's error when that ends"
	h.within(t, rule, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		var ended error
		for _, err := range h.Source.Resources(ctx, h.query("Patient")) {
			if ended != nil {
				return fmt.Errorf("the stream goes on after an error: %w", ended)
			}
			cancel()
			ended = err
		}
		return wantError(ended, context.Canceled)
	})
}

func deadline(t tester, h *host) {
	h.put(t, series("Patient", 20)...)
	const rule = "Resources: a deadline ends the stream with its error"
	h.within(t, rule, func(ctx context.Context) error {
		ctx, cancel := context.WithDeadline(ctx, time.Unix(0, 0))
		defer cancel()
		_, err := collect(ctx, h.Source, h.query("Patient"))
		return wantError(err, context.DeadlineExceeded)
	})
}

// deadlineWaiting ends calls while they wait. What need not wait may return
// nothing but what was asked for.
func deadlineWaiting(t tester, h *host) {
	h.population(t, 2)
	if needGroups().met(h.DataSet) {
		h.put(t, groupOf("g", "Patient/p1"))
	}
	q := h.query("Patient")
	all := h.calls(q)
	for name, stream := range h.streams(q) {
		all[name] = func(ctx context.Context) error { return stream(ctx, func() bool { return true }) }
	}
	var release func()
	h.within(t, "DataSet.Block: reads have to wait", func(ctx context.Context) (err error) {
		release, err = h.Block(ctx)
		return err
	})
	defer release()
	for name, call := range all {
		rule := name + ": a deadline ends what waits for others, with its error"
		h.within(t, rule, func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			err := call(ctx)
			if err == nil && name != "Resources" {
				return nil
			}
			return wantError(err, context.DeadlineExceeded)
		})
	}
}

func othersGoOn(t tester, h *host) {
	want := h.put(t, series("Patient", 20)...)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		for _, err := range h.Source.Resources(ctx, h.query("Patient")) {
			if err == nil {
				cancel()
			}
		}
		cancel()
	}
	wantLabels(t, "a cancelled stream does no harm to later ones", h.read(t, h.query("Patient")), want)
}

package sourcetest

import (
	"context"
	"errors"
	"runtime"
)

func releaseCases() []testCase {
	return []testCase{
		{Release, "streams broken off", nil, brokenOff},
		{Release, "other streams broken off", nil, othersBrokenOff},
		{Release, "goroutines", nil, goroutines},
		{Release, "a body that panics", nil, panickingBody},
	}
}

// breakOff begins n streams and leaves each after its k-th resource.
func (h *host) breakOff(ctx context.Context, n, k int) error {
	for range n {
		left := k
		for _, err := range h.Source.Resources(ctx, h.query("Patient")) {
			if err != nil {
				return err
			}
			if left--; left <= 0 {
				break
			}
		}
	}
	return nil
}

func brokenOff(t tester, h *host) {
	want := h.put(t, series("Patient", 50)...)
	for _, k := range []int{1, 2, 49} {
		h.within(t, "Resources: a stream that is broken off frees what it holds",
			func(ctx context.Context) error { return h.breakOff(ctx, 70, k) })
	}
	wantLabels(t, "a stream after many broken off is whole", h.read(t, h.query("Patient")), want)
}

func othersBrokenOff(t tester, h *host) {
	h.population(t, 10)
	if h.Delete != nil {
		h.remove(t, "Patient", "p9")
		h.remove(t, "Patient", "p10")
	}
	for name, stream := range h.streams(h.query("Patient")) {
		count, rule := 0, name+": a stream that is broken off frees what it holds"
		h.within(t, rule, func(ctx context.Context) error {
			for range 70 {
				if err := stream(ctx, func() bool { return false }); err != nil {
					return err
				}
			}
			return stream(ctx, func() bool { count++; return true })
		})
		if count < 2 {
			t.Errorf("%s: a stream after many broken off is whole: got %d, want 2 or more", name, count)
		}
	}
}

// goroutines allows for connection pools, which grow and shrink as they like.
func goroutines(t tester, h *host) {
	const n = 200
	h.put(t, series("Patient", 50)...)
	// The end of a context would end what is left behind.
	left := t.Context()
	h.within(t, "Resources: a stream is broken off", func(context.Context) error {
		return h.breakOff(left, 5, 1)
	})
	before := runtime.NumGoroutine()
	const rule = "Resources: a stream that is broken off leaves no goroutine"
	h.within(t, rule, func(ctx context.Context) error {
		if err := h.breakOff(left, n, 1); err != nil {
			return err
		}
		for runtime.NumGoroutine() > before+n/2 {
			if err := pause(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

var errBody = errors.New("body")

func panickingBody(t tester, h *host) {
	want := h.put(t, series("Patient", 50)...)
	one := func(ctx context.Context) (err error) {
		defer func() {
			if p := recover(); p != any(errBody) && err == nil {
				err = errors.New("the panic of a body does not reach its caller")
			}
		}()
		for _, err := range h.Source.Resources(ctx, h.query("Patient")) {
			if err != nil {
				return err
			}
			panic(errBody)
		}
		return nil
	}
	h.within(t, "Resources: a body that panics frees what the stream holds",
		func(ctx context.Context) error {
			for range 70 {
				if err := one(ctx); err != nil {
					return err
				}
			}
			return nil
		})
	wantLabels(t, "a stream after bodies that panicked is whole", h.read(t, h.query("Patient")), want)
}

package sourcetest

import (
	"context"
	"fmt"
	"sync"
)

func concurrencyCases() []testCase {
	return []testCase{
		{Concurrency, "several streams at once", nil, streamsAtOnce},
		{Concurrency, "a stream within a stream", nil, streamWithinStream},
		{Concurrency, "streams and writers", nil, streamsAndWriters},
	}
}

// streamsAtOnce lets no stream go on before all have begun.
func streamsAtOnce(t tester, h *host) {
	const streams = 4
	want := h.put(t, series("Patient", 200)...)
	got := make([][]string, streams)
	var begun sync.WaitGroup
	begun.Add(streams)
	all := make(chan struct{})
	go func() { begun.Wait(); close(all) }()

	var fns []func(context.Context) error
	for i := range streams {
		fns = append(fns, func(ctx context.Context) error {
			begin := sync.OnceFunc(begun.Done)
			defer begin()
			for r, err := range h.Source.Resources(ctx, h.query("Patient")) {
				if err != nil {
					return err
				}
				it, _, err := newItem(r, "Patient")
				if err != nil {
					return err
				}
				got[i] = append(got[i], it.label)
				begin()
				select {
				case <-all:
				case <-ctx.Done():
					return fmt.Errorf("a stream waits for another: %w", ctx.Err())
				}
			}
			return nil
		})
	}
	h.together(t, "Resources: several streams run at once", fns...)
	for _, labels := range got {
		if missing := difference(want, labels); len(missing) > 0 || len(labels) != len(want) {
			t.Errorf("Resources: each of several streams is whole: got %d of %d", len(labels), len(want))
		}
	}
}

func streamWithinStream(t tester, h *host) {
	patients := h.put(t, series("Patient", 3)...)
	observations := h.put(t, series("Observation", 40)...)
	const rule = "Resources: a stream can be read while another is open"
	h.within(t, rule, func(ctx context.Context) error {
		outer := 0
		for _, err := range h.Source.Resources(ctx, h.query("Patient")) {
			if err != nil {
				return err
			}
			outer++
			inner, err := collect(ctx, h.Source, h.query("Observation"))
			if err != nil {
				return err
			}
			if len(inner) != len(observations) {
				return fmt.Errorf("the inner stream has %d of %d", len(inner), len(observations))
			}
		}
		if outer != len(patients) {
			return fmt.Errorf("the outer stream has %d of %d", outer, len(patients))
		}
		return nil
	})
}

// streamsAndWriters is for the race detector first of all.
func streamsAndWriters(t tester, h *host) {
	want := h.put(t, series("Observation", 100)...)
	h.put(t, groupOf("g", "Patient/p1"))
	var fns []func(context.Context) error
	for w := range 2 {
		fns = append(fns, func(ctx context.Context) error {
			for i := range 40 {
				r := resource{typ: "Observation", id: fmt.Sprintf("w%d-%d", w, i%10)}
				if _, _, err := h.store(ctx, h.tenant, r); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for range 3 {
		fns = append(fns, func(ctx context.Context) error {
			for range 10 {
				if err := h.readAll(ctx, want); err != nil {
					return err
				}
			}
			return nil
		})
	}
	h.together(t, "ResourceSource: methods are safe for concurrent use", fns...)
}

// readAll makes each of a source's calls once.
func (h *host) readAll(ctx context.Context, want []string) error {
	q := h.query("Observation")
	items, err := collect(ctx, h.Source, q)
	if err != nil {
		return err
	}
	if missing := difference(want, labels(items)); len(missing) > 0 {
		return fmt.Errorf("what does not change is missing: %s", some(missing))
	}
	for name, call := range h.calls(q) {
		if err := call(ctx); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, stream := range h.streams(q) {
		if err := stream(ctx, func() bool { return true }); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

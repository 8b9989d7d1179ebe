package sourcetest

import (
	"context"
	"fmt"
	"slices"

	"github.com/bulkexport/bulkexport"
)

func changeCases() []testCase {
	return []testCase{
		{Changes, "what does not change is yielded", nil, unchangedIsYielded},
		{Changes, "what changes is not lost to the next export", []need{needClock()}, changedIsNotLost},
	}
}

func unchangedIsYielded(t tester, h *host) {
	resources := series("Observation", 60)
	want := h.put(t, resources...)
	changed := slices.Concat(resources[:10], resources[50:])
	got := labels(h.readDisturbed(t, h.query("Observation"), changed))
	if missing := difference(want[10:50], got); len(missing) > 0 {
		t.Errorf("Resources: what does not change during a stream is yielded: missing %s", some(missing))
	}
	slices.Sort(got)
	if len(slices.Compact(slices.Clone(got))) < len(got) {
		t.Errorf("Resources: no version is yielded twice when others change during the stream")
	}
}

// readDisturbed reads a stream and changes resources from within its body, so
// that a source which keeps writers out for as long as it reads is found too.
func (h *host) readDisturbed(t tester, q bulkexport.Query, changed []resource) []item {
	t.Helper()
	var items []item
	const rule = "Resources: data can be written while a stream is open"
	h.within(t, rule, func(ctx context.Context) error {
		for r, err := range h.Source.Resources(ctx, q) {
			if err != nil {
				return err
			}
			it, _, err := newItem(r, q.Type)
			if err != nil {
				return err
			}
			if items = append(items, it); len(items) != 5 {
				continue
			}
			if err := h.disturb(ctx, changed); err != nil {
				return err
			}
		}
		return nil
	})
	return items
}

// disturb puts a new version of each resource, and as many new resources. It
// gives up when the context ends, even if Put does not.
func (h *host) disturb(ctx context.Context, resources []resource) error {
	for _, r := range resources {
		resources = append(resources, resource{typ: r.typ, id: "new-" + r.id})
	}
	done := make(chan error, 1)
	go func() {
		_, _, err := h.store(ctx, h.tenant, resources...)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("a write waits for the stream: %w", ctx.Err())
	}
}

func changedIsNotLost(t tester, h *host) {
	resources := series("Observation", 30)
	live := h.put(t, resources...)
	first := h.cut(t)
	copy(live[20:], h.put(t, resources[20:]...))
	second := h.cut(t)

	q := h.query("Observation")
	q.AsOf = first
	full := labels(h.read(t, q))
	q.Since, q.AsOf = first, second
	increment := labels(h.read(t, q))
	if missing := difference(live, append(full, increment...)); len(missing) > 0 {
		t.Errorf("Resources: what changes after AsOf is in the export or the next one: missing %s",
			some(missing))
	}
	if missing := difference(live[:20], full); len(missing) > 0 {
		t.Errorf("Resources: what did not change since AsOf is in the export: missing %s", some(missing))
	}
}

package sourcetest

import (
	"context"
	"fmt"

	"github.com/bulkexport/bulkexport"
)

func tenantCases() []testCase {
	return []testCase{
		{Tenants, "names that look alike", nil, lookAlikes},
		{Tenants, "the empty name is not all tenants", nil, emptyTenant},
		{Tenants, "a change touches one tenant", nil, changeOneTenant},
		{Tenants, "types of one tenant", nil, typesOfOneTenant},
		{Tenants, "counts and cuts of one tenant", nil, countOneTenant},
	}
}

// lookAlikeNames are told apart only by those who compare bytes.
func lookAlikeNames() []string {
	return []string{
		"a", "A", " a", "a ", "aa", "a%", "a_", "_", "%", "*", "a/b", "a\\", "a'--", `a"`,
		"\u00e4", "a\u0308", "\u00c4", "null", "0",
	}
}

func lookAlikes(t tester, h *host) {
	want := make(map[string][]string)
	for i, name := range lookAlikeNames() {
		want[name] = h.putIn(t, name, series("Patient", 1+i%3)...)
	}
	for name, labels := range want {
		q := h.query("Patient")
		q.Tenant = name
		wantLabels(t, fmt.Sprintf("tenant %q sees its own resources alone", name), h.read(t, q), labels)
	}
}

func emptyTenant(t tester, h *host) {
	own := h.putIn(t, "a", resource{typ: "Patient", id: "p"})
	q := h.query("Patient")
	q.Tenant = ""
	wantLabels(t, "the empty tenant is a tenant, not all of them", h.read(t, q), nil)
	q.Tenant = "a"
	wantLabels(t, "a tenant sees its own", h.read(t, q), own)
}

func changeOneTenant(t tester, h *host) {
	r := resource{typ: "Patient", id: "p"}
	first, second := h.putIn(t, "a", r), h.putIn(t, "b", r)
	first = append(first[:0], h.putIn(t, "a", r)...)
	q := h.query("Patient")
	for name, labels := range map[string][]string{"a": first, "b": second} {
		q.Tenant = name
		wantLabels(t, "a new version in one tenant changes no other", h.read(t, q), labels)
	}
	if h.Delete == nil {
		return
	}
	h.within(t, "DataSet.Delete: a resource is deleted", func(ctx context.Context) error {
		return h.Delete(ctx, "a", r.typ, r.id)
	})
	q.Tenant = "b"
	wantLabels(t, "a deletion in one tenant changes no other", h.read(t, q), second)
}

func typesOfOneTenant(t tester, h *host) {
	h.putIn(t, "a", resource{typ: "Device", id: "1"})
	h.putIn(t, "b", resource{typ: "Group", id: "1"})
	for name, want := range map[string]string{"a": "Device", "b": "Group"} {
		scope := h.scope(bulkexport.LevelSystem)
		scope.Tenant = name
		got := h.types(t, scope)
		if missing := difference([]string{want}, got); len(missing) > 0 {
			t.Errorf("Types: names the types of tenant %q: %s left out of %v", name, want, got)
		}
	}
}

func countOneTenant(t tester, h *host) {
	h.putIn(t, "a", series("Patient", 20)...)
	q := h.query("Patient")
	q.Tenant = "b"
	if _, ok := h.Source.(bulkexport.SourceCounter); ok {
		if n := h.count(t, q); n != 0 {
			t.Errorf("Count: a tenant without resources has none: got %d", n)
		}
	}
	if _, ok := h.Source.(bulkexport.SourceSplitter); ok {
		if cuts := h.split(t, q, 2); len(cuts) > 0 {
			t.Errorf("Split: a tenant without resources is not cut: got %d cuts", len(cuts))
		}
	}
}

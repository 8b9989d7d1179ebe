package faulttest_test

import (
	"cmp"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport/faulttest"
)

// TestSchedulesThatRapidDraws is for those who want a schedule that fails made
// short by more than leaving faults out, and -rapid.checks. Run draws its own, so
// that the package needs the standard library only.
func TestSchedulesThatRapidDraws(t *testing.T) {
	t.Parallel()
	try, calls := faulttest.Explore(t, representative())
	fault := rapid.Custom(func(t *rapid.T) faulttest.Fault {
		return faulttest.Fault{
			Kind: rapid.SampledFrom(faulttest.Kinds()).Draw(t, "kind"),
			Call: rapid.IntRange(1, calls).Draw(t, "call"),
			Hold: rapid.IntRange(0, 60).Draw(t, "hold"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		schedule := faulttest.Schedule(rapid.SliceOfN(fault, 1, 6).Draw(t, "faults"))
		slices.SortStableFunc(schedule, func(a, b faulttest.Fault) int { return cmp.Compare(a.Call, b.Call) })
		if err := try(schedule); err != nil {
			t.Fatalf("%s: %v", schedule, err)
		}
	})
}

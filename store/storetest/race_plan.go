package storetest

import (
	"strconv"
	"sync/atomic"

	"github.com/bulkexport/bulkexport"
)

func planRaceCases() []testCase {
	return []testCase{
		{Atomicity, "one of many plans is stored", both(racePlans)},
		{Atomicity, "a plan appears as a whole", both(planAppears)},
	}
}

// partsPerPlan is more than a store is likely to write in one statement.
const partsPerPlan = 600

// racePlans gives each planner a plan of another length and type, so that a mix
// of two shows.
func racePlans(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 0).ID
	seen := make([]int, writers)
	together(writers, func(i int) {
		planner := either(i, s, rival)
		plan := newPlan(partsPerPlan+i, "Type"+strconv.Itoa(i))
		if err := planner.SetParts(t.Context(), id, plan); err != nil {
			t.Errorf("SetParts: the later plan is not stored, and that is no error; got error: %v", err)
		}
		parts, _ := planner.Parts(t.Context(), id)
		seen[i] = len(parts)
	})
	parts, err := s.Parts(t.Context(), id)
	if err != nil {
		t.Fatalf("Parts: the parts of a stored job are found; got error: %v", err)
	}
	wantOnePlan(t, parts)
	for _, n := range seen {
		if n != len(parts) {
			t.Errorf("SetParts: the plan that was stored first stays: %d parts became %d", n, len(parts))
		}
	}
}

// wantOnePlan checks that the parts are one of the plans of racePlans, whole.
func wantOnePlan(t tester, parts []bulkexport.Part) {
	t.Helper()
	if len(parts) < partsPerPlan || len(parts) >= partsPerPlan+writers {
		t.Fatalf("SetParts: one plan is stored as a whole: got %d parts", len(parts))
	}
	want := newPlan(len(parts), "Type"+strconv.Itoa(len(parts)-partsPerPlan))
	wantSame(t, "SetParts: one plan is stored as a whole", parts, want)
}

// planAppears reads all the time while the plan is written: a worker that saw
// half of it could finish the job.
func planAppears(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 0).ID
	var planned atomic.Bool
	together(2, func(i int) {
		if i == 0 {
			defer planned.Store(true)
			if err := s.SetParts(t.Context(), id, newPlan(partsPerPlan, "Patient")); err != nil {
				t.Errorf("SetParts: is not disturbed by readers; got error: %v", err)
			}
			return
		}
		for !planned.Load() {
			parts, err := rival.Parts(t.Context(), id)
			if err != nil || len(parts) != 0 && len(parts) != partsPerPlan {
				t.Errorf("SetParts: all parts appear together: a reader got %d, error %v", len(parts), err)
				return
			}
		}
	})
	mustParts(t, s, id, partsPerPlan)
}

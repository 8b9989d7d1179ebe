package runnertest_test

import (
	"strings"

	"github.com/bulkexport/bulkexport"
)

// faults are what can be wrong with a cluster.
type faults struct {
	change                func(bulkexport.Task) bulkexport.Task // of what is enqueued
	losesEach             int
	queuesTwice           bool
	forgetsWhilePerformed bool
	losesFailed           bool
	repeatsSuccess        bool

	moreWorkers  int
	losesWorkers bool
	noTurns      bool

	stopBeforeStartBlocks bool
	enqueuesAfterStop     bool
	takesAfterStop        bool
	stopInterruptsNone    bool
	stopRunsOutOfTime     bool
	stopIsDeaf            bool
	stopWaitsNever        bool
	stopWaitsOnce         bool

	noValues        bool
	endsWithStart   bool
	endsWithEnqueue bool

	cancelsAllJobs     bool
	cancelsDeletes     bool
	cancelsHere        bool
	cancelKeepsQueue   bool
	cancelKeepsRunning bool
	cancelLasts        bool

	schedulesOnce         bool
	schedulesPerNode      bool
	schedulesOverlap      bool
	schedulesWait         bool
	scheduleEndsWithError bool
	scheduleEndsWithStop  bool
	scheduleEndsWithDeath bool

	noJobCeiling       bool
	noTenantCeiling    bool
	noTotalCeiling     bool
	ceilingsPerNode    bool
	ceilingsForAll     bool
	ceilingBlocksQueue bool

	onBothNodes      bool
	ownQueues        bool
	losesInterrupted bool
	losesWaiting     bool
	losesDead        bool
}

// broken is a cluster with one fault, and the cases that have to find it.
type broken struct {
	faults faults
	caught []string
}

func by(f faults, caught ...string) broken { return broken{f, caught} }

func changed(change func(t *bulkexport.Task)) faults {
	return faults{change: func(t bulkexport.Task) bulkexport.Task {
		change(&t)
		return t
	}}
}

func brokenClusters() map[string]broken {
	return map[string]broken{
		"tenants lose their case": by(changed(func(t *bulkexport.Task) { t.Tenant = strings.ToLower(t.Tenant) }),
			"delivery/fields"),
		"tenants are trimmed": by(changed(func(t *bulkexport.Task) { t.Tenant = strings.TrimSpace(t.Tenant) }),
			"delivery/fields"),
		"tenants are ASCII": by(changed(func(t *bulkexport.Task) {
			t.Tenant = strings.Map(func(r rune) rune { return r & 0x7F }, t.Tenant)
		}),
			"delivery/fields"),
		"parts have 16 bits": by(changed(func(t *bulkexport.Task) { t.Part &= 0xFFFF }), "delivery/fields"),
		"a finish is taken for a plan": by(changed(func(t *bulkexport.Task) {
			if t.Kind == bulkexport.TaskFinish {
				t.Kind = bulkexport.TaskPlan
			}
		}),
			"delivery/fields", "delivery/enqueued by its own performance"),
		"a task in a thousand is lost": by(faults{losesEach: 1000}, "delivery/many"),
		"what waits is queued again":   by(faults{queuesTwice: true}, "delivery/enqueued while it waits"),
		"what is performed cannot be enqueued": by(faults{forgetsWhilePerformed: true},
			"delivery/enqueued by its own performance", "delivery/enqueued while it is performed"),
		"failed tasks are lost": by(faults{losesFailed: true}, "delivery/failed"),
		"tasks come again after success": by(faults{repeatsSuccess: true},
			"delivery/failed", "nodes/each task on one"),
		"one worker too many":              by(faults{moreWorkers: 1}, "workers/all and no more"),
		"one worker too few":               by(faults{moreWorkers: -1}, "workers/all and no more"),
		"workers end with their goroutine": by(faults{losesWorkers: true}, "goexit/workers stay"),
		"first in, first out": by(faults{noTurns: true},
			"turns/small beside large", "turns/small beside large on two nodes"),

		"Stop before Start waits": by(faults{stopBeforeStartBlocks: true}, "stopping/before Start"),
		"Enqueue after Stop": by(faults{enqueuesAfterStop: true},
			"stopping/before Start", "stopping/afterwards"),
		"Stop empties the queue":         by(faults{takesAfterStop: true}, "stopping/takes no more"),
		"Stop interrupts nothing":        by(faults{stopInterruptsNone: true}, "stopping/interrupts and waits"),
		"Stop sets a deadline":           by(faults{stopRunsOutOfTime: true}, "stopping/interrupts and waits"),
		"Stop does not heed its context": by(faults{stopIsDeaf: true}, "stopping/interrupts and waits"),
		"Stop does not wait": by(faults{stopWaitsNever: true},
			"stopping/interrupts and waits", "schedules/another node goes on"),
		"Stop does not wait a second time": by(faults{stopWaitsOnce: true}, "stopping/interrupts and waits"),

		"contexts have no values":     by(faults{noValues: true}, "contexts/values and ends"),
		"contexts end with Start's":   by(faults{endsWithStart: true}, "contexts/values and ends"),
		"contexts end with Enqueue's": by(faults{endsWithEnqueue: true}, "contexts/values and ends"),

		"all jobs are cancelled": by(faults{cancelsAllJobs: true},
			"cancelling/one job", "cancelling/on all nodes"),
		"deletes are cancelled": by(faults{cancelsDeletes: true},
			"cancelling/one job", "cancelling/all but what deletes"),
		"only here is cancelled":          by(faults{cancelsHere: true}, "cancelling/on all nodes"),
		"the cancelled job's queue stays": by(faults{cancelKeepsQueue: true}, "cancelling/one job"),
		"what runs is not cancelled": by(faults{cancelKeepsRunning: true},
			"cancelling/one job", "cancelling/again"),
		"a job is cancelled for ever": by(faults{cancelLasts: true}, "cancelling/again"),

		"schedules are called once": by(faults{schedulesOnce: true},
			"schedules/again and again", "schedules/one at a time"),
		"each node has its schedules": by(faults{schedulesPerNode: true}, "schedules/one at a time"),
		"schedules do not wait for their last call": by(faults{schedulesOverlap: true},
			"schedules/one at a time"),
		"schedules wait for each other": by(faults{schedulesWait: true}, "schedules/one at a time"),
		"schedules end with an error":   by(faults{scheduleEndsWithError: true}, "schedules/again and again"),
		"schedules end with Stop":       by(faults{scheduleEndsWithStop: true}, "schedules/another node goes on"),
		"schedules end with their node's death": by(faults{scheduleEndsWithDeath: true},
			"schedules/another node goes on after a death"),

		"no ceiling for jobs":    by(faults{noJobCeiling: true}, "ceilings/job", "ceilings/others pass"),
		"no ceiling for tenants": by(faults{noTenantCeiling: true}, "ceilings/tenant"),
		"no ceiling in total":    by(faults{noTotalCeiling: true}, "ceilings/total"),
		"ceilings of each node":  by(faults{ceilingsPerNode: true}, "ceilings/all together on two nodes"),
		"ceilings for all tasks": by(faults{ceilingsForAll: true}, "ceilings/only parts"),
		"what has to wait keeps others waiting": by(faults{ceilingBlocksQueue: true},
			"ceilings/job", "ceilings/others pass"),

		"both nodes perform a task": by(faults{onBothNodes: true}, "nodes/each task on one"),
		"each node has its own queue": by(faults{ownQueues: true},
			"nodes/share tasks", "nodes/what one stops another does"),
		"Stop forgets what it interrupts": by(faults{losesInterrupted: true},
			"nodes/what one stops another does", "nodes/what the last stops the next does"),
		"the last node's queue goes": by(faults{losesWaiting: true}, "nodes/what the last stops the next does"),
		"what a dead node was at is lost": by(faults{losesDead: true},
			"nodes/what a dead one was at another does"),
	}
}

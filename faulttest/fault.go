package faulttest

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is what can go wrong at a call.
type Kind string

// The kinds of faults. Those that come before a call are possible at every call,
// if nothing else is said; those after, at calls that change something: after a
// read they would be the same as before the next call.
const (
	// ErrorBefore makes the call fail without effect.
	ErrorBefore Kind = "error before"
	// ErrorAfter loses the answer: the call has its effect, and an error comes back.
	ErrorAfter Kind = "error after"
	// KillBefore and KillAfter end the process as kill -9 does: nothing that it
	// still tries has an effect, and its queue is gone.
	KillBefore Kind = "kill before"
	KillAfter  Kind = "kill after"
	// FreezeBefore and FreezeAfter make the process hang, as SIGSTOP does. Another
	// one takes over. Later the first goes on where it stood.
	FreezeBefore Kind = "freeze before"
	FreezeAfter  Kind = "freeze after"
	// StopBefore and StopAfter stop the process in order: contexts are cancelled.
	StopBefore Kind = "stop before"
	StopAfter  Kind = "stop after"
	// Pause lets the clock go on beyond lease and slice, while nobody takes over.
	Pause Kind = "pause before"
	// Panic makes a call of the source panic.
	Panic Kind = "panic at"
	// Forget makes the runner say that it has taken tasks which it has not, and
	// Repeat makes it deliver each of them twice.
	Forget Kind = "forget tasks at"
	Repeat Kind = "repeat tasks of"
	// Redeliver has the task that makes the call delivered again meanwhile.
	Redeliver Kind = "redeliver task at"
	// Delete is a client that deletes the export through another process, while a
	// third removes at once what it can.
	Delete Kind = "delete at"
	// Change is a writer that changes the data once transactionTime is fixed.
	Change Kind = "change data at"
)

// Kinds returns all kinds of faults.
func Kinds() []Kind {
	return []Kind{
		ErrorBefore, ErrorAfter, KillBefore, KillAfter, FreezeBefore, FreezeAfter, StopBefore, StopAfter,
		Pause, Panic, Forget, Repeat, Redeliver, Delete, Change,
	}
}

func (k Kind) after() bool { return strings.HasSuffix(string(k), " after") }

func (k Kind) freezes() bool { return k == FreezeBefore || k == FreezeAfter }

// fits reports whether the fault is possible, and new, at a call.
func (k Kind) fits(c Call) bool {
	switch k {
	case Panic:
		return c.Seam == SeamSource
	case Forget, Repeat:
		return c.Seam == SeamRunner
	case Redeliver:
		return c.inTask
	case Delete:
		return c.hasJob
	case Change:
		return c.hasJob && c.fixed
	default:
		return !k.after() || c.Effect
	}
}

// What ends the hold of a frozen process besides a number of calls.
const (
	// UntilEnded holds it until the export has ended.
	UntilEnded = 0
	// UntilDeleted holds it until the export was deleted and is gone.
	UntilDeleted = -1
)

// Fault is one fault of a [Schedule].
type Fault struct {
	Kind Kind
	// Call is the number of the call at which it strikes. Where the kind is not
	// possible it strikes at the next call where it is.
	Call int
	// Hold is for how many calls of others a frozen process hangs, or
	// [UntilEnded] or [UntilDeleted].
	Hold int
}

// Schedule is a list of faults. Each strikes once, at most one at a call.
type Schedule []Fault

// String returns the schedule as Go source.
func (s Schedule) String() string {
	var faults []string
	for _, f := range s {
		text := fmt.Sprintf("{Kind: %q, Call: %d", string(f.Kind), f.Call)
		if f.Hold != 0 {
			text += fmt.Sprintf(", Hold: %d", f.Hold)
		}
		faults = append(faults, text+"}")
	}
	return "faulttest.Schedule{" + strings.Join(faults, ", ") + "}"
}

// without returns the schedule without one fault.
func (s Schedule) without(i int) Schedule { return slices.Delete(slices.Clone(s), i, i+1) }

// Strike is a fault that has struck, and where.
type Strike struct {
	Fault
	At Call
}

// String describes it, for example "kill after call 37 (store.UpdatePart of part 2)".
func (s Strike) String() string {
	text := string(s.Kind) + " " + s.At.String()
	switch {
	case !s.Kind.freezes():
	case s.Hold > 0:
		text += fmt.Sprintf(" for %d calls", s.Hold)
	case s.Hold == UntilDeleted:
		text += " until the export is deleted"
	default:
		text += " until the export has ended"
	}
	return text
}

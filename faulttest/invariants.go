package faulttest

import "fmt"

// Invariant names something that holds whatever goes wrong. Failures begin with
// the name.
type Invariant string

// The invariants.
const (
	// Ends: the export ends as completed, and does not fail, as long as there are
	// fewer faults than attempts.
	Ends Invariant = "ends"
	// SameFiles: public names, lists, counts, sizes, hashes and bytes are those of
	// an export that nothing disturbed, on the same data.
	SameFiles Invariant = "same files"
	// Honest: each file in the manifest opens, and has the count, size and hash
	// that the manifest says.
	Honest Invariant = "honest manifest"
	// Final: once the export has ended nothing changes any more, whatever
	// processes still do that were taken for dead.
	Final Invariant = "final"
	// Hidden: no file is shown before the export has completed; with
	// allowPartialManifests, a page that was shown does not change.
	Hidden Invariant = "hidden until completed"
	// Whole: a file in the sink is visible from its commit on, and not before.
	Whole Invariant = "whole or not at all"
	// Progress: Done and the fraction do not go back, and reach the end only with it.
	Progress Invariant = "progress grows"
	// OneTime: transactionTime does not change once it is fixed.
	OneTime Invariant = "one transactionTime"
	// Snapshot: what is written after transactionTime neither leaks into the
	// export, nor is it missing from the next one.
	Snapshot Invariant = "snapshot"
	// Prompt: what was stopped in order goes on at once, without waiting for a
	// lease or a pause.
	Prompt Invariant = "prompt after a stop"
	// Held: a task that is delivered again while an attempt at it lives does
	// nothing.
	Held Invariant = "held by one"
	// Deleted: a deleted export is not found, at once and ever after.
	Deleted Invariant = "deleted"
	// Clean: after its deletion or expiry nothing of an export is left in store
	// and sink.
	Clean Invariant = "clean"
	// Silent: the log has no resource content.
	Silent Invariant = "silent log"
	// Contained: no panic of the host's source leaves Exporter.Perform, and no
	// other one any method.
	Contained Invariant = "contained panic"
)

// violation is an invariant that does not hold.
type violation struct {
	invariant Invariant
	text      string
}

// Error implements error.
func (v *violation) Error() string { return fmt.Sprintf("%s: %s", v.invariant, v.text) }

func broken(i Invariant, format string, args ...any) error {
	return &violation{i, fmt.Sprintf(format, args...)}
}

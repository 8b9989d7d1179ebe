//go:build unix

package main

import (
	"slices"
	"sync"
)

// version is a state that a resource has had, from a moment on that is later
// than after and not later than by, in microseconds since 1970. For one that
// was put both are known to the microsecond; of a deletion only between which
// two transaction times it was.
type version struct {
	number    int // of a deletion: that of the version which was deleted
	deleted   bool
	after, by int64
}

// world is the history of all resources.
type world struct {
	shape

	// writing is held shared from before a write begins until it is noted. Whoever
	// holds it alone knows of all that has been committed.
	writing sync.RWMutex

	mu        sync.Mutex
	histories map[ref][]version
}

func newWorld(s shape) *world { return &world{shape: s, histories: map[ref][]version{}} }

// note adds a version. The caller holds writing.
func (w *world) note(r ref, v version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.histories[r] = append(w.histories[r], v)
}

// last returns the latest version of a resource, if there is one.
func (w *world) last(r ref) (version, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	history := w.histories[r]
	if len(history) == 0 {
		return version{}, false
	}
	return history[len(history)-1], true
}

// forget drops what nobody asks for who asks for a moment not before at.
func (w *world) forget(at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r, history := range w.histories {
		if i := current(history, at); i > 0 {
			w.histories[r] = slices.Clone(history[i:])
		}
	}
}

// current returns which version certainly was there at a moment, or -1.
func current(history []version, at int64) int {
	i := len(history) - 1
	for i >= 0 && history[i].by > at {
		i--
	}
	return i
}

// selection is what an export asks for.
type selection struct {
	tenant string
	kinds  []string // nil is all
	// inCompartment asks for the Patient level; patients, if not nil, limits it.
	inCompartment bool
	patients      map[string]bool
	// group asks for the Group level.
	group string
	// since, if not 0, is exclusive; at is the transaction time.
	since, at int64
}

// want is what an export must have of a resource: one of some versions, or
// perhaps nothing. There is more than one possibility only where the moment of a
// change is not known well enough.
type want struct {
	numbers  []int
	optional bool
}

// expectation is what an export must consist of.
type expectation struct{ output, deleted map[ref]want }

// expect says what an export has to have. It waits for writes that are under way.
func (w *world) expect(sel selection) expectation {
	w.writing.Lock()
	defer w.writing.Unlock()
	if sel.group != "" {
		sel.patients = w.members(sel)
	}
	e := expectation{map[ref]want{}, map[ref]want{}}
	for r, history := range w.histories {
		if r.tenant != sel.tenant || sel.kinds != nil && !slices.Contains(sel.kinds, r.kind) {
			continue
		}
		output, deleted := w.wanted(r, history, sel)
		if len(output.numbers) > 0 {
			e.output[r] = output
		}
		if len(deleted.numbers) > 0 {
			e.deleted[r] = deleted
		}
	}
	return e
}

// members returns who was in the Group.
func (w *world) members(sel selection) map[string]bool {
	group := ref{sel.tenant, "Group", sel.group}
	history := w.histories[group]
	members := map[string]bool{}
	if i := current(history, sel.at); i >= 0 {
		for _, id := range w.patientsOf(group, history[i].number) {
			members[id] = true
		}
	}
	return members
}

// wanted goes through all versions that may have been current.
func (w *world) wanted(r ref, history []version, sel selection) (output, deleted want) {
	first := current(history, sel.at)
	if first < 0 { // perhaps it was not there yet
		output.optional, deleted.optional = true, true
	}
	for _, v := range history[max(first, 0):] {
		if v.after >= sel.at {
			break
		}
		yes, surely := v.since(sel.since)
		yes = yes && w.inScope(r, v.number, sel)
		output.add(v.number, yes && !v.deleted, surely)
		deleted.add(v.number, yes && v.deleted && sel.since != 0, surely)
	}
	return output, deleted
}

func (v version) since(since int64) (yes, surely bool) {
	return since == 0 || v.by > since, since == 0 || v.after >= since || v.by <= since
}

func (w *want) add(number int, yes, surely bool) {
	if yes {
		w.numbers = append(w.numbers, number)
	}
	w.optional = w.optional || !yes || !surely
}

func (s shape) inScope(r ref, number int, sel selection) bool {
	switch {
	case sel.group != "" && r.kind == "Group":
		return r.id == sel.group
	case sel.patients != nil:
		return slices.ContainsFunc(s.patientsOf(r, number), func(id string) bool { return sel.patients[id] })
	case sel.inCompartment:
		return len(s.patientsOf(r, number)) > 0
	}
	return true
}

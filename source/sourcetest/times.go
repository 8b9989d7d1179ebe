package sourcetest

import (
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

func timeCases() []testCase {
	return []testCase{
		{Times, "since", nil, sinceIsStrict},
		{Times, "until", nil, untilIsStrict},
		{Times, "since and until", nil, sinceAndUntil},
		{Times, "as of a last update", nil, asOfIsInclusive},
		{Times, "since a new version", nil, sinceNewVersion},
		{Times, "since at Patient level and in a range", nil, sinceInRange},
	}
}

// stamped is a version with its last update.
type stamped struct {
	label   string
	updated time.Time
}

// putStamped takes its time, so that the last updates differ if the host's
// clock tells milliseconds apart.
func (h *host) putStamped(t tester, resources ...resource) []stamped {
	t.Helper()
	all := make([]stamped, len(resources))
	for i, r := range resources {
		h.within(t, "time goes by", pause)
		all[i].label, all[i].updated = h.putOne(t, r)
	}
	return all
}

func labelsIf(all []stamped, keep func(time.Time) bool) []string {
	var names []string
	for _, s := range all {
		if keep(s.updated) {
			names = append(names, s.label)
		}
	}
	return names
}

// moments are where an off-by-one shows: at each last update and around it.
func moments(all []stamped) []time.Time {
	var at []time.Time
	for _, s := range all {
		at = append(at, s.updated.Add(-time.Millisecond), s.updated, s.updated.Add(time.Millisecond))
	}
	return at
}

func sinceIsStrict(t tester, h *host) {
	all := h.putStamped(t, series("Observation", 6)...)
	for _, at := range moments(all) {
		q := h.query("Observation")
		q.Since = at.UTC()
		want := labelsIf(all, func(u time.Time) bool { return u.After(at) })
		wantLabels(t, "Since selects what was updated strictly later", h.read(t, q), want)
	}
}

func untilIsStrict(t tester, h *host) {
	all := h.putStamped(t, series("Observation", 6)...)
	for _, at := range moments(all) {
		q := h.query("Observation")
		q.Until = at.UTC()
		want := labelsIf(all, func(u time.Time) bool { return u.Before(at) })
		wantLabels(t, "Until selects what was updated strictly earlier", h.read(t, q), want)
	}
}

func sinceAndUntil(t tester, h *host) {
	all := h.putStamped(t, series("Observation", 6)...)
	q := h.query("Observation")
	q.Since, q.Until = all[1].updated.UTC(), all[4].updated.UTC()
	want := labelsIf(all, func(u time.Time) bool { return u.After(q.Since) && u.Before(q.Until) })
	wantLabels(t, "Since and Until hold together", h.read(t, q), want)
	q.Since, q.Until = q.Until, q.Since
	wantLabels(t, "no moment is both after and before", h.read(t, q), nil)
}

func asOfIsInclusive(t tester, h *host) {
	all := h.putStamped(t, series("Observation", 6)...)
	for _, at := range moments(all) {
		q := h.query("Observation")
		q.AsOf = at.UTC()
		want := labelsIf(all, func(u time.Time) bool { return !u.After(at) })
		got := h.read(t, q)
		if needSnapshot().met(h.DataSet) {
			wantLabels(t, "AsOf includes what was updated at that moment, and no later", got, want)
		} else if missing := difference(want, labels(got)); len(missing) > 0 {
			t.Errorf("Resources: AsOf includes what was updated up to that moment: missing %s",
				some(missing))
		}
	}
}

func sinceNewVersion(t tester, h *host) {
	resources := series("Observation", 6)
	all := h.putStamped(t, resources...)
	all[1] = h.putStamped(t, resources[1])[0]
	for _, at := range moments(all) {
		q := h.query("Observation")
		q.Since = at.UTC()
		want := labelsIf(all, func(u time.Time) bool { return u.After(at) })
		wantLabels(t, "a new version counts by its own last update", h.read(t, q), want)
	}
}

func sinceInRange(t tester, h *host) {
	h.put(t, resource{typ: "Patient", id: "p"})
	var all []stamped
	for i, r := range series("Observation", 12) {
		if i%2 == 0 {
			r.members = refer("subject", "Patient/p")
		}
		if s := h.putStamped(t, r); i%2 == 0 {
			all = append(all, s...)
		}
	}
	q := h.query("Observation")
	q.Level = bulkexport.LevelPatient
	whole := h.read(t, q)
	q.Since = all[2].updated.UTC()
	newer := h.read(t, q)
	want := labelsIf(all, func(u time.Time) bool { return u.After(q.Since) })
	wantLabels(t, "Since holds at Patient level", newer, want)
	for k := range whole {
		q.After = whole[k].key
		want := slices.DeleteFunc(slices.Clone(newer), func(it item) bool {
			return slices.Contains(labels(whole[:k+1]), it.label)
		})
		wantSequence(t, "After holds together with Since", h.read(t, q), want)
	}
}

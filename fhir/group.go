package fhir

import (
	"slices"
	"strings"
	"time"
)

// Members are the members of a Group that count in an export, sorted, each once.
type Members struct {
	// Patients are the ids of the Patients that the Group names.
	Patients []string
	// Groups are the ids of the Groups whose members are members too.
	Groups []string
}

// GroupError means that a Group does not say who its members are.
type GroupError struct {
	// Reason is a clause for the client, without content of the resource.
	Reason string
	// Err is the cause, if the resource is malformed. May be nil.
	Err error
}

// Error implements error.
func (e *GroupError) Error() string { return "fhir: " + e.Reason }

// Unwrap returns Err.
func (e *GroupError) Unwrap() error { return e.Err }

// GroupMembers reads the members of a Group. Those that are inactive or whose
// period has ended before the moment at do not count. The end of a period lasts
// as long as its precision says: a year, a day, a second; dates are of UTC.
// Members of other types than Patient and Group are passed over, and so are
// references in other forms than those of [Version.AppendPatientIDs].
//
// The error is always a [*GroupError]: the Group describes its members instead
// of naming them (actual is false), it or a member has a modifier extension, of
// which nobody here knows what it changes, or the resource is malformed.
func GroupMembers(resource []byte, at time.Time, baseURLs ...string) (Members, error) {
	r := groupReader{scanner: scanner{data: resource}, at: at, baseURLs: baseURLs}
	for name := range r.members {
		switch string(name) {
		case "actual":
			if !r.boolean() {
				r.describes = true
			}
		case "membership": // instead of actual from R5 on
			if string(r.text()) != "enumerated" {
				r.describes = true
			}
		case "modifierExtension":
			r.modifiers()
		case "member":
			for range r.elements {
				r.member()
			}
		}
	}
	switch {
	case r.err != nil:
		return Members{}, &GroupError{Reason: "the Group is malformed", Err: r.err}
	case r.describes:
		return Members{}, &GroupError{Reason: "the Group describes its members and does not name them"}
	case r.modified:
		return Members{}, &GroupError{
			Reason: "the Group has a modifier extension that this server does not know",
		}
	}
	slices.Sort(r.found.Patients)
	slices.Sort(r.found.Groups)
	return Members{slices.Compact(r.found.Patients), slices.Compact(r.found.Groups)}, nil
}

type groupReader struct {
	scanner
	at        time.Time
	baseURLs  []string
	found     Members
	describes bool
	modified  bool
}

// shortMember is about the length of the shortest members, of which large Groups
// consist: room for all of them is made at once.
const shortMember = 48

// member reads the member that is next.
func (r *groupReader) member() {
	var entity []byte
	former := false
	for name := range r.members {
		switch string(name) {
		case "entity":
			entity = r.reference()
		case "inactive":
			former = r.boolean() || former
		case "period":
			former = r.ended() || former
		case "modifierExtension":
			r.modifiers()
		}
	}
	ref, ok := localReference(entity, r.baseURLs)
	switch {
	case former || !ok:
	case ref.Type == "Patient":
		if r.found.Patients == nil {
			r.found.Patients = make([]string, 0, len(r.data)/shortMember+1)
		}
		r.found.Patients = append(r.found.Patients, ref.ID)
	case ref.Type == "Group":
		r.found.Groups = append(r.found.Groups, ref.ID)
	}
}

// modifiers looks whether there are any in the array that is next.
func (r *groupReader) modifiers() {
	for range r.elements {
		r.modified = true
	}
}

func (r *groupReader) boolean() bool {
	r.peek()
	start := r.pos
	r.skip()
	switch string(r.data[start:r.pos]) {
	case "true":
		return true
	case "false":
	default:
		r.fail("want true or false")
	}
	return false
}

// ended reports whether the period that is next is over.
func (r *groupReader) ended() bool {
	over := false
	for name := range r.members {
		if string(name) != "end" {
			continue
		}
		after, ok := firstAfter(string(r.text()))
		if !ok {
			r.fail("the end of a period is not a dateTime")
		}
		over = !r.at.Before(after)
	}
	return over
}

// firstAfter returns the first moment after a dateTime of any precision.
func firstAfter(dateTime string) (time.Time, bool) {
	if t, err := time.Parse("2006", dateTime); err == nil {
		return t.AddDate(1, 0, 0), true
	}
	if t, err := time.Parse("2006-01", dateTime); err == nil {
		return t.AddDate(0, 1, 0), true
	}
	if t, err := time.Parse(time.DateOnly, dateTime); err == nil {
		return t.AddDate(0, 0, 1), true
	}
	t, err := time.Parse(time.RFC3339Nano, dateTime)
	if err != nil {
		return time.Time{}, false
	}
	precision := time.Second
	if _, fraction, ok := strings.Cut(dateTime, "."); ok {
		for digits := strings.IndexAny(fraction, "Z+-"); digits > 0; digits-- {
			precision /= 10
		}
	}
	return t.Add(max(precision, 1)), true
}

package smart

import (
	"maps"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport/fhir"
)

// Scopes are what scopes of SMART App Launch allow a client to do by itself,
// without a user. Make them with [ParseScopes]; the zero value allows nothing.
// They do not change.
type Scopes struct {
	granted map[string]letters // by type, or "*"
}

// letters are permissions in the notation of version 2, a bit each.
type letters uint8

const (
	create letters = 1 << iota
	read
	update
	remove
	search

	// export is what it takes to export a type: resources are found and read.
	export = read | search
)

const (
	letterNames = "cruds" // in the order of the bits
	anyType     = "*"
)

// notation1 are the permissions of version 1.
var notation1 = []struct {
	name    string
	letters letters
}{
	{"read", read | search},
	{"write", create | update | remove},
	{"*", create | read | update | remove | search},
}

// ParseScopes reads scopes that are joined by single spaces, as tokens carry
// them, of both versions: system/Patient.read, system/*.rs. What several scopes
// allow is allowed: system/Patient.r and system/Patient.s together are
// system/Patient.rs.
//
// All else counts as if it was not there: scopes of users and patients, types that
// neither R4 nor R5 has, letters out of order, and scopes with a query, such as
// system/Observation.rs?category=laboratory, since exports are not filtered by
// them.
func ParseScopes(scopes string) Scopes {
	s := Scopes{granted: map[string]letters{}}
	for text := range strings.SplitSeq(scopes, " ") {
		if one, ok := parseScope(text); ok {
			s.granted[one.resourceType] |= one.letters
		}
	}
	return s
}

// Types returns the types of which all resources may be exported, those that may
// be read and searched, as [bulkexport.Access.Types] has them: nil if these are all
// types, empty but not nil if there are none, else sorted. The caller owns the
// slice.
func (s Scopes) Types() []string {
	if s.granted[anyType]&export == export {
		return nil
	}
	types := []string{}
	for _, name := range slices.Sorted(maps.Keys(s.granted)) {
		if name != anyType && s.of(name)&export == export {
			types = append(types, name)
		}
	}
	return types
}

// of returns what is allowed with a type.
func (s Scopes) of(name string) letters {
	return s.granted[name] | s.granted[anyType]
}

// scope is a single one.
type scope struct {
	resourceType string // or "*"
	letters      letters
	version1     bool
}

func parseScope(text string) (scope, bool) {
	rest, ok := strings.CutPrefix(text, "system/")
	name, permissions, dotted := strings.Cut(rest, ".")
	if !ok || !dotted || name != anyType && !isResourceType(name) {
		return scope{}, false
	}
	for _, old := range notation1 {
		if old.name == permissions {
			return scope{name, old.letters, true}, true
		}
	}
	allowed, ok := parseLetters(permissions)
	return scope{name, allowed, false}, ok
}

func isResourceType(name string) bool {
	return fhir.R4.IsResourceType(name) || fhir.R5.IsResourceType(name)
}

// parseLetters wants some of "cruds" in this order, each once.
func parseLetters(text string) (letters, bool) {
	var all letters
	for i := range len(text) {
		at := strings.IndexByte(letterNames, text[i])
		if at < 0 || all>>at != 0 {
			return 0, false
		}
		all |= 1 << at
	}
	return all, all != 0
}

// Grant returns the scopes that are within both the requested and the allowed
// ones, joined by spaces, in the order of the request; each in the notation it was
// asked for, as far as that can express it. What is not a scope by the rules of
// [ParseScopes] is not granted. A request for all types is cut down to those that
// are allowed: system/*.rs to system/Patient.rs. The result is empty if nothing is
// left, and never allows more than either side.
func Grant(requested, allowed string) string {
	limit := ParseScopes(allowed)
	var granted []string
	seen := map[string]bool{}
	for text := range strings.SplitSeq(requested, " ") {
		asked, ok := parseScope(text)
		if !ok {
			continue
		}
		for _, part := range asked.within(limit) {
			if name := part.String(); !seen[name] {
				seen[name] = true
				granted = append(granted, name)
			}
		}
	}
	return strings.Join(granted, " ")
}

// within returns what is left of a scope below a limit.
func (s scope) within(limit Scopes) []scope {
	var parts []scope
	add := func(name string, allowed letters) {
		if part := s.letters & allowed; part != 0 {
			parts = append(parts, scope{name, part, s.version1})
		}
	}
	if s.resourceType != anyType {
		add(s.resourceType, limit.of(s.resourceType))
		return parts
	}
	all := limit.granted[anyType]
	add(anyType, all)
	for _, name := range slices.Sorted(maps.Keys(limit.granted)) {
		if limit.granted[name]&s.letters&^all != 0 {
			add(name, limit.of(name))
		}
	}
	return parts
}

// String returns the scope in its notation.
func (s scope) String() string {
	prefix := "system/" + s.resourceType + "."
	for _, old := range notation1 {
		if s.version1 && old.letters == s.letters {
			return prefix + old.name
		}
	}
	var b strings.Builder
	for i := range letterNames {
		if s.letters&(1<<i) != 0 {
			b.WriteByte(letterNames[i])
		}
	}
	return prefix + b.String()
}

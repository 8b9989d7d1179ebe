package fhir

import (
	"bytes"
	"strings"
)

// Reference names a resource of the host.
type Reference struct{ Type, ID string }

// localReference reads a reference in one of the forms that count, see
// [Version.AppendPatientIDs], to a resource of any type.
func localReference(ref []byte, baseURLs []string) (Reference, bool) {
	name, rest, _ := bytes.Cut(withoutBase(ref, baseURLs), []byte("/"))
	id, tail, versioned := bytes.Cut(rest, []byte("/"))
	if versioned {
		version, ok := bytes.CutPrefix(tail, []byte("_history/"))
		if !ok || !ValidID(string(version)) {
			return Reference{}, false
		}
	}
	found := Reference{typeName(name), string(id)}
	return found, isTypeName(found.Type) && ValidID(found.ID)
}

// withoutBase returns what follows the base URL, or ref itself. One base may begin
// with another: the longest counts.
func withoutBase(ref []byte, baseURLs []string) []byte {
	relative := ref
	for _, base := range baseURLs {
		rest, ok := bytes.CutPrefix(ref, []byte(strings.TrimSuffix(base, "/")))
		if ok && len(rest) > 0 && rest[0] == '/' && len(rest) <= len(relative) {
			relative = rest[1:]
		}
	}
	return relative
}

// isTypeName reports whether s can be the name of a type, of R4 or not.
func isTypeName(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (i == 0 || c < 'a' || c > 'z') {
			return false
		}
	}
	return s != ""
}

// objects iterates over the array that is next, or over the one object that
// stands in its place, and passes over what is no object.
func (s *scanner) objects(yield func() bool) {
	switch s.peek() {
	case '{':
		yield()
	case '[':
		for range s.elements {
			if s.peek() == '{' && !yield() {
				return
			}
		}
	}
}

// reference reads the literal reference in the Reference that is next, or
// returns nil.
func (s *scanner) reference() []byte {
	var ref []byte
	for name := range s.members {
		if string(name) == "reference" && s.peek() == '"' {
			ref = s.text()
		}
	}
	return ref
}

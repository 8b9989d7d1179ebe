package search

import (
	"bytes"
	"slices"
)

// token is [system|]code. A system is compared as it stands, and so are the
// codes of FHIR itself (type code), ids, URIs and booleans. Strings are compared
// without case, and so are other codes and identifiers: R4 advises it where
// nothing is known about the code system.
type token struct {
	scope  scope
	system string
	code   []byte // empty: any
	typ    *token // of an identifier, in :of-type
}

// scope says what a token or quantity wants of the system.
type scope int

const (
	anySystem scope = iota
	noSystem
	oneSystem
)

// match compares a pair of system and code as it stands in a resource; nil is
// absent.
func (t *token) match(system, code []byte) bool {
	switch {
	case t.scope == noSystem && len(system) > 0,
		t.scope == oneSystem && string(system) != t.system:
		return false
	case len(t.code) == 0:
		return true
	default:
		return len(code) > 0 && bytes.EqualFold(code, t.code)
	}
}

func matchAny(tokens []token, system, code []byte) bool {
	for i := range tokens {
		if tokens[i].match(system, code) {
			return true
		}
	}
	return false
}

// token reads a value of any type that tokens are judged by.
func (s *scanner) token(tokens []token, l *leaf) bool {
	switch l.typ {
	case typeCodeableConcept:
		return s.concept(tokens)
	case typeCoding:
		return s.coding(tokens, "system", "code")
	case typeIdentifier:
		return s.identifier(tokens)
	case typeContactPoint: // its system is no code system
		return s.coding(tokens, "", "value")
	case typeTrue:
		return s.present() && matchExact(tokens, nil, []byte("true"))
	case typeBoolean:
		start := s.pos
		s.skip()
		return matchExact(tokens, nil, bytes.TrimSpace(s.data[start:s.pos]))
	case typeText:
		return matchAny(tokens, nil, s.maybeText())
	default:
		return matchExact(tokens, l.systems, s.maybeText())
	}
}

// matchExact compares a primitive, whose system is known from its definition.
func matchExact(tokens []token, systems []string, code []byte) bool {
	for i := range tokens {
		t := &tokens[i]
		if (t.scope != oneSystem || slices.Contains(systems, t.system)) &&
			len(code) > 0 && (len(t.code) == 0 || string(code) == string(t.code)) {
			return true
		}
	}
	return false
}

func (s *scanner) concept(tokens []token) bool {
	met := false
	for more := s.enter('{'); more; more = s.next('}') {
		name := s.name()
		if met || string(name) != "coding" {
			s.skip()
			continue
		}
		for more := s.enter('['); more; more = s.next(']') {
			met = s.coding(tokens, "system", "code") || met
		}
	}
	return met
}

// coding reads an object with the two members named.
func (s *scanner) coding(tokens []token, systemName, codeName string) bool {
	var system, code []byte
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); string(name) {
		case systemName:
			system = s.maybeText()
		case codeName:
			code = s.maybeText()
		default:
			s.skip()
		}
	}
	return matchAny(tokens, system, code)
}

func (s *scanner) identifier(tokens []token) bool {
	if tokens[0].typ == nil {
		return s.coding(tokens, "system", "value")
	}
	met := false
	start := s.pos
	for i := range tokens {
		s.pos = start
		met = s.identifierOfType(&tokens[i]) || met
	}
	return met
}

func (s *scanner) identifierOfType(t *token) bool {
	var value []byte
	typed := false
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); string(name) {
		case "value":
			value = s.maybeText()
		case "type":
			typed = s.concept([]token{*t.typ})
		default:
			s.skip()
		}
	}
	return typed && t.match(nil, value)
}

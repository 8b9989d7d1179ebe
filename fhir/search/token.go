package search

import (
	"bytes"
	"slices"
)

// token is [system|]code. A system is compared as it stands, and so are the
// codes of FHIR itself (type code), ids, URIs and booleans. Other codes and
// identifiers are compared without case: R4 tells servers to, since many code
// systems leave the question open.
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

// specialValues is the code system that booleans belong to.
const specialValues = "http://hl7.org/fhir/special-values"

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
		return matchExact(tokens, []string{specialValues}, bytes.TrimSpace(s.data[start:s.pos]))
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
	if s.peek() != '{' {
		s.skip()
		return false
	}
	met := false
	for more := s.enter('{'); more; more = s.next('}') {
		name := s.name()
		if met || string(name) != "coding" || s.peek() != '[' {
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
	if s.peek() != '{' {
		s.skip()
		return false
	}
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
	if s.peek() != '{' {
		s.skip()
		return false
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

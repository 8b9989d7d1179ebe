package search

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/bulkexport/bulkexport/fhir"
)

// scanner walks JSON in place. Its first fault stays in err and ends every
// walk, so that callers check once. What it calls itself for is bounded by the
// paths of the table, not by the input.
type scanner struct {
	data []byte
	pos  int
	err  error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s at byte %d", fhir.ErrMalformed, what, s.pos)
	}
}

// peek returns the next byte that is not white space, or 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.data); s.pos++ {
		if c := s.data[s.pos]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// enter and next drive a loop over an object or array:
//
//	for more := s.enter('{'); more; more = s.next('}')
//
// whose body reads one member or element whole. A value of another kind is
// passed over: it has none.
func (s *scanner) enter(open byte) bool {
	if s.peek() != open || s.err != nil {
		s.skip()
		return false
	}
	s.pos++
	if s.peek() == open+2 { // } and ] come two after { and [
		s.pos++
		return false
	}
	return true
}

func (s *scanner) next(end byte) bool {
	if s.err != nil {
		return false
	}
	c := s.peek()
	if c != ',' && c != end {
		s.fail("want , or " + string(rune(end)))
		return false
	}
	s.pos++
	return c == ','
}

// name reads the name of a member and the colon.
func (s *scanner) name() []byte {
	name := s.text()
	if s.err == nil && s.peek() != ':' {
		s.fail("want :")
	}
	s.pos++
	return name
}

// text reads the string that is next. The result is a part of data, or a copy
// where the string has escapes.
func (s *scanner) text() []byte {
	if s.err != nil || s.peek() != '"' {
		s.fail("want a string")
		return nil
	}
	start := s.pos
	s.skipString()
	if s.err != nil {
		return nil
	}
	raw := s.data[start+1 : s.pos-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	var decoded string
	if err := json.Unmarshal(s.data[start:s.pos], &decoded); err != nil {
		s.fail("bad escape")
	}
	return []byte(decoded)
}

// maybeText reads the value that is next, and returns it if it is a string.
func (s *scanner) maybeText() []byte {
	if s.peek() == '"' {
		return s.text()
	}
	s.skip()
	return nil
}

// maybeNumber reads the value that is next, and returns its text if it is a
// number.
func (s *scanner) maybeNumber() []byte {
	c := s.peek()
	start := s.pos
	s.skip()
	if c == '-' || isDigit(c) {
		return s.data[start:s.pos]
	}
	return nil
}

// skip passes over the value that is next.
func (s *scanner) skip() {
	if s.err != nil {
		return
	}
	switch s.peek() {
	case '"':
		s.skipString()
	case '{', '[':
		s.skipNested()
	default:
		s.skipLiteral()
	}
}

// skipString passes over a string. A quote ends it unless an odd number of
// backslashes stands before.
func (s *scanner) skipString() {
	first := s.pos + 1
	for end := first; ; end++ {
		i := bytes.IndexByte(s.data[end:], '"')
		if i < 0 {
			s.fail("string without end")
			return
		}
		end += i
		slash := end
		for slash > first && s.data[slash-1] == '\\' {
			slash--
		}
		if (end-slash)%2 == 0 {
			s.pos = end + 1
			return
		}
	}
}

// skipNested passes over an object or array by counting brackets.
func (s *scanner) skipNested() {
	for depth := 0; s.pos < len(s.data); {
		switch s.data[s.pos] {
		case '"':
			s.skipString()
			if s.err != nil {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.pos++
		if depth == 0 {
			return
		}
	}
	s.fail("object or array without end")
}

// skipLiteral passes over a number, true, false or null.
func (s *scanner) skipLiteral() {
	start := s.pos
	for s.pos < len(s.data) && isLiteral(s.data[s.pos]) {
		s.pos++
	}
	if s.pos == start {
		s.fail("want a value")
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLiteral(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

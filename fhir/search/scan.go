package search

import (
	"fmt"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/internal/rawjson"
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
	if s.err != nil {
		return nil
	}
	s.peek()
	text, end, fault := rawjson.Text(s.data, s.pos)
	s.reach(end, fault)
	return text
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
	s.peek()
	s.reach(rawjson.Skip(s.data, s.pos))
}

func (s *scanner) reach(pos int, fault string) {
	s.pos = pos
	if fault != "" {
		s.fail(fault)
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

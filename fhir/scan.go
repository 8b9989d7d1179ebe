package fhir

import (
	"fmt"

	"github.com/bulkexport/bulkexport/fhir/internal/rawjson"
)

// scanner walks JSON in place. Its first fault stays in err and ends every
// walk, so that callers check once. It never recurses on nested input.
type scanner struct {
	data []byte
	pos  int
	err  error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s at byte %d", ErrMalformed, what, s.pos)
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

// accept reads c if it is next.
func (s *scanner) accept(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

func (s *scanner) expect(c byte) {
	if s.err == nil && !s.accept(c) {
		s.fail("want " + string(rune(c)))
	}
}

// members iterates over the names of the object that is next. A body that
// wants the value reads it; a value that it leaves alone is skipped.
func (s *scanner) members(yield func(name []byte) bool) {
	s.expect('{')
	for first := true; s.err == nil && !s.accept('}'); first = false {
		if !first {
			s.expect(',')
		}
		name := s.text()
		s.expect(':')
		if s.err != nil || !s.value(func() bool { return yield(name) }) {
			return
		}
	}
}

// elements iterates over the array that is next, in the manner of members.
func (s *scanner) elements(yield func() bool) {
	s.expect('[')
	for first := true; s.err == nil && !s.accept(']'); first = false {
		if !first {
			s.expect(',')
		}
		if s.err != nil || !s.value(yield) {
			return
		}
	}
}

func (s *scanner) value(yield func() bool) bool {
	s.peek()
	start := s.pos
	if !yield() {
		return false
	}
	if s.pos == start {
		s.skip()
	}
	return true
}

// text reads the string that is next. The result is a part of data, or a copy
// where the string has escapes.
func (s *scanner) text() []byte {
	s.peek()
	text, end, fault := rawjson.Text(s.data, s.pos)
	s.reach(end, fault)
	return text
}

// isText reports whether the value that is next is that string.
func (s *scanner) isText(want string) bool {
	return s.peek() == '"' && string(s.text()) == want
}

// skip passes over the value that is next.
func (s *scanner) skip() {
	s.peek()
	s.reach(rawjson.Skip(s.data, s.pos))
}

func (s *scanner) reach(pos int, fault string) {
	s.pos = pos
	if fault != "" {
		s.fail(fault)
	}
}

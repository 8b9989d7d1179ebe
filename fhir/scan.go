package fhir

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
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
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
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
	if s.peek() != '"' {
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

// isText reports whether the value that is next is that string.
func (s *scanner) isText(want string) bool {
	return s.peek() == '"' && string(s.text()) == want
}

// skip passes over the value that is next.
func (s *scanner) skip() {
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

// literals are the bytes that numbers, true, false and null are made of.
const literals = "+-.0123456789Eaeflnrstu"

// skipLiteral passes over a number, true, false or null.
func (s *scanner) skipLiteral() {
	start := s.pos
	for s.pos < len(s.data) && strings.IndexByte(literals, s.data[s.pos]) >= 0 {
		s.pos++
	}
	if s.pos == start {
		s.fail("want a value")
	}
}

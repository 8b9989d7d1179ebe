package bulkexport

import (
	"bytes"
	"encoding/json"
)

// lineScanner is one pass over one object. What changes with every token is in
// local variables; here is what changes rarely.
type lineScanner struct {
	line    checkedLine
	notUTF8 bool
	// outer keeps the levels that 64 bits have no room for.
	outer [maxDepth/64 + 1]uint64
}

// outermost reads the object and the white space around it, and returns where
// that ends.
func (s *lineScanner) outermost(b []byte) (int, *LineError) {
	i := s.space(b, 0)
	if i == len(b) || b[i] != '{' {
		return i, &LineError{i, "no JSON object"}
	}
	i, fault := s.object(b, i)
	if fault != nil || i == len(b) {
		return i, fault
	}
	return s.space(b, i), nil
}

// What follows a text in most of all cases, with its quote.
const (
	colonAndText = '"' | ':'<<8 | '"'<<16
	commaAndText = '"' | ','<<8 | '"'<<16
)

// object reads the object that begins at i, and returns where it ends. Its
// labels are the places in the grammar:
//
//	open     → member, or closing where it is empty
//	member   → key in an object, value in an array
//	key      → value, or text by the short cut
//	value    → open, text, or done if it is another scalar
//	text     → done, or key by the short cut
//	done     → next in any case
//	next     → member behind a comma, or closing at the end
//	closing  → next one level up, or out
//
// It is one function so that all it knows stays in registers. Most members are
// names with a text, without white space: the short cuts, each one comparison, are
// for them.
func (s *lineScanner) object(b []byte, i int) (int, *LineError) {
	var (
		depth uint
		// levels has a bit for each level around this one, the nearest lowest:
		// 1 for an object, 0 for an array.
		levels uint64
		// end closes this level: } or ].
		end byte
		// isType is true from the key to the value of the resourceType. start
		// is the quote of the key, then where the value begins.
		isType bool
		start  int
		c      = byte('{')
		next3  uint32
		fault  *LineError
	)

open: // b[i] is c, which is { or [
	if depth == maxDepth {
		return i, &LineError{i, "nested too deeply"}
	}
	levels = levels<<1 | uint64(end>>5&1)
	depth++
	if depth%64 == 0 {
		s.outer[depth/64] = levels
	}
	end = c + 2 // } and ] come two after { and [
	i++
	c = byteAt(b, i)
	if isSpace(c) {
		i = s.space(b, i)
		c = byteAt(b, i)
	}
	if c == end {
		goto closing
	}

member: // a member or an element must follow
	if end == ']' {
		goto value
	}
	if i < len(b) && b[i] == '"' {
		i++
	} else if i, fault = s.expect(b, i, '"', "no member name"); fault != nil {
		return i, fault
	}

key: // the name's quote is behind
	if depth == 1 {
		start = i - 1
		isType = isPlainTypeKey(b[start:])
	}
	i, next3 = skipPlain(b, i)
	if next3 == colonAndText {
		i += 3
		start = i - 1
		goto text
	}
	if i < len(b) && b[i] == '"' {
		i++
	} else {
		if i, fault = s.text(b, i); fault != nil {
			return i, fault
		}
		isType = depth == 1 && isTypeKey(b[start:i])
	}
	if i < len(b) && b[i] == ':' {
		i++
	} else if i, fault = s.expect(b, i, ':', "no ':' where one must be"); fault != nil {
		return i, fault
	}

value:
	c = byteAt(b, i)
	if isSpace(c) {
		i = s.space(b, i)
		c = byteAt(b, i)
	}
	start = i
	if c == '"' {
		i++
		goto text
	}
	if c == '{' || c == '[' {
		if isType {
			return i, &LineError{i, "resourceType is not a name"}
		}
		goto open
	}
	if i, fault = scalar(b, i); fault != nil {
		return i, fault
	}
	goto done

text: // the text's quote is behind
	i, next3 = skipPlain(b, i)
	if next3 == commaAndText && end == '}' && !isType {
		i += 3
		goto key
	}
	if i < len(b) && b[i] == '"' {
		i++
	} else if i, fault = s.text(b, i); fault != nil {
		return i, fault
	}

done: // the value is behind
	if isType {
		if fault = s.setType(b[start:i], i); fault != nil {
			return i, fault
		}
		isType = false
	}

next: // a comma, or the end of this level, must follow
	switch c = byteAt(b, i); {
	case c == ',':
		i++
		goto member
	case c == end:
		goto closing
	case isSpace(c):
		i = s.space(b, i)
		goto next
	}
	return i, &LineError{i, "no ',' where one must be"}

closing: // b[i] is end
	i++
	depth--
	if depth == 0 {
		return i, nil
	}
	end = ']' + byte(levels&1)<<5 // } or ]
	levels >>= 1
	if depth%64 == 0 {
		levels = s.outer[depth/64]
	}
	goto next
}

const typeKey = `"resourceType"`

// isPlainTypeKey reports whether b begins with the type's key as all write it.
func isPlainTypeKey(b []byte) bool {
	return len(b) >= len(typeKey) && string(b[:len(typeKey)]) == typeKey
}

// isTypeKey compares a member's name in its quotes, also if it is escaped.
func isTypeKey(name []byte) bool {
	if bytes.IndexByte(name, '\\') < 0 {
		return string(name) == typeKey
	}
	var plain string
	return json.Unmarshal(name, &plain) == nil && plain == "resourceType"
}

// setType takes the scalar that ends at i for the resourceType.
func (s *lineScanner) setType(value []byte, i int) *LineError {
	switch {
	case s.line.resourceType != nil:
		return &LineError{i, "second resourceType"}
	case len(value) < 3 || value[0] != '"':
		return &LineError{i, "resourceType is not a name"}
	}
	s.line.resourceType = value[1 : len(value)-1]
	return nil
}

// byteAt returns b[i], or 0, which begins no token, at the end.
func byteAt(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// space returns where the white space at i ends.
func (s *lineScanner) space(b []byte, i int) int {
	for ; i < len(b); i++ {
		switch b[i] {
		case ' ', '\t':
		case '\n', '\r':
			s.line.breaks = true
		default:
			return i
		}
	}
	return i
}

// expect reads white space and c.
func (s *lineScanner) expect(b []byte, i int, c byte, reason string) (int, *LineError) {
	i = s.space(b, i)
	if byteAt(b, i) != c {
		return i, &LineError{i, reason}
	}
	return i + 1, nil
}

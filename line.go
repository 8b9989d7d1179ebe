package bulkexport

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a resource. FHIR resources nest some dozen
// levels deep.
const maxDepth = 1024

// LineError says why a resource cannot be a line of NDJSON. It never quotes
// the resource.
type LineError struct {
	// Offset is where in the resource the trouble is, in bytes.
	Offset int
	// Reason says what is wrong there.
	Reason string
}

// Error implements error.
func (e *LineError) Error() string {
	return fmt.Sprintf("not a JSON resource: %s at byte %d", e.Reason, e.Offset)
}

// checkedLine is what one pass over a resource finds.
type checkedLine struct {
	// resourceType is the value of the member of that name, without quotes.
	resourceType []byte
	// breaks is true when there are line breaks between tokens.
	breaks bool
}

// checkLine checks that b is exactly one JSON object by RFC 8259, in UTF-8,
// with a resourceType. Apart from reading and writing it is the only pass that
// an export makes over every byte, hence iterative and without allocation.
func checkLine(b []byte) (checkedLine, *LineError) {
	s := lineScanner{b: b}
	s.object()
	switch {
	case s.err != nil:
		return checkedLine{}, s.err
	case !utf8.Valid(b):
		return checkedLine{}, &LineError{invalidUTF8(b), "invalid UTF-8"}
	case s.line.resourceType == nil:
		return checkedLine{}, &LineError{0, "no resourceType"}
	}
	return s.line, nil
}

// lineScanner walks over the tokens of one object. Once err is set it is done.
type lineScanner struct {
	b    []byte
	i    int
	line checkedLine
	err  *LineError

	depth int
	// inObject has a bit for each open level: 1 for an object, 0 for an array.
	inObject [maxDepth/64 + 1]uint64
}

func (s *lineScanner) fail(reason string) {
	if s.err == nil {
		s.err = &LineError{s.i, reason}
	}
}

// object reads the outermost object and nothing else.
func (s *lineScanner) object() {
	s.space()
	if s.peek() != '{' {
		s.fail("no JSON object")
		return
	}
	s.open('{')
	s.members()
	s.space()
	if s.i < len(s.b) {
		s.fail("text after the object")
	}
}

// members reads until the outermost level is closed.
func (s *lineScanner) members() {
	for fresh := true; s.depth > 0 && s.err == nil; {
		s.space()
		object := s.inObject[s.depth/64]&(1<<(s.depth%64)) != 0
		c := s.peek()
		if c == '}' && object || c == ']' && !object {
			s.depth--
			s.i++
			fresh = false
			continue
		}
		if !fresh {
			s.expect(',')
			s.space()
		}
		isType := object && s.key()
		switch c = s.peek(); c {
		case '{', '[':
			if isType {
				s.fail("resourceType is not a name")
			}
			s.open(c)
			fresh = true
		default:
			start := s.i
			s.scalar(c)
			if isType {
				s.setType(start)
			}
			fresh = false
		}
	}
}

// peek returns the next byte, or 0, which begins no token, at the end.
func (s *lineScanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *lineScanner) open(c byte) {
	if s.depth == maxDepth {
		s.fail("nested too deeply")
		return
	}
	s.depth++
	s.i++
	bit := uint64(1) << (s.depth % 64)
	if c == '{' {
		s.inObject[s.depth/64] |= bit
	} else {
		s.inObject[s.depth/64] &^= bit
	}
}

func (s *lineScanner) expect(c byte) {
	if s.peek() != c {
		s.fail(fmt.Sprintf("no %q where one must be", c))
		return
	}
	s.i++
}

var typeKey = []byte(`"resourceType"`)

// isTypeKey compares a member's name in its quotes, also if it is escaped.
func isTypeKey(name []byte) bool {
	if bytes.IndexByte(name, '\\') < 0 {
		return bytes.Equal(name, typeKey)
	}
	var plain string
	return json.Unmarshal(name, &plain) == nil && plain == "resourceType"
}

// key reads a member's name and colon, and reports whether the member is the
// resource's own resourceType.
func (s *lineScanner) key() bool {
	start := s.i
	if s.peek() != '"' {
		s.fail("no member name")
		return false
	}
	s.text()
	if s.err != nil {
		return false
	}
	isType := s.depth == 1 && isTypeKey(s.b[start:s.i])
	s.space()
	s.expect(':')
	s.space()
	return isType
}

// setType takes the scalar that began at start for the resourceType.
func (s *lineScanner) setType(start int) {
	switch value := s.b[start:s.i]; {
	case s.err != nil:
	case s.line.resourceType != nil:
		s.fail("second resourceType")
	case len(value) < 3 || value[0] != '"':
		s.fail("resourceType is not a name")
	default:
		s.line.resourceType = value[1 : len(value)-1]
	}
}

func (s *lineScanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t':
		case '\n', '\r':
			s.line.breaks = true
		default:
			return
		}
		s.i++
	}
}

func (s *lineScanner) scalar(c byte) {
	switch {
	case c == '"':
		s.text()
	case c == '-' || isDigit(c):
		s.number()
	case c == 't':
		s.literal("true")
	case c == 'f':
		s.literal("false")
	case c == 'n':
		s.literal("null")
	default:
		s.fail("no JSON value")
	}
}

func (s *lineScanner) literal(word string) {
	if !bytes.HasPrefix(s.b[s.i:], []byte(word)) {
		s.fail("no JSON value")
		return
	}
	s.i += len(word)
}

// text reads a string. Its bytes are UTF-8 checked with the whole line.
func (s *lineScanner) text() {
	b, i := s.b, s.i+1
	for {
		i += plainPrefix(b[i:])
		if i >= len(b) {
			break
		}
		switch c := b[i]; {
		case c == '"':
			s.i = i + 1
			return
		case c == '\\':
			n := escapeLen(b[i:])
			if n == 0 {
				s.i = i
				s.fail("invalid escape")
				return
			}
			i += n
		case c < ' ':
			s.i = i
			s.fail("control character in a string")
			return
		}
	}
	s.i = len(b)
	s.fail("string without end")
}

// plainPrefix returns how many bytes of b stand before the first quote,
// backslash or control character. It looks at eight bytes at a time.
func plainPrefix(b []byte) int {
	const (
		ones  = 0x0101010101010101
		highs = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote := w ^ ones*'"'
		slash := w ^ ones*'\\'
		// A byte of each term has its high bit set where the byte of w is below
		// ' ', a quote, or a backslash; the last factors drop what is not ASCII.
		// Borrows add hits only above a true one, so the lowest is true.
		if hit := ((w - ones*' ') | (quote - ones) | (slash - ones)) &^ w & highs; hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] >= ' ' {
		i++
	}
	return i
}

// escapeLen returns the length of the escape sequence at the start of b, or 0.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) < 6 {
			return 0
		}
		for _, c := range b[2:6] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 6
	}
	return 0
}

func (s *lineScanner) number() {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else {
		s.digits()
	}
	if s.peek() == '.' {
		s.i++
		s.digits()
	}
	if s.peek()|0x20 == 'e' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		s.digits()
	}
}

func (s *lineScanner) digits() {
	if !isDigit(s.peek()) {
		s.fail("incomplete number")
		return
	}
	for isDigit(s.peek()) {
		s.i++
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func invalidUTF8(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// joinLines appends b to dst without its line breaks. In valid JSON they only
// stand between tokens, and no two tokens need them to be told apart.
func joinLines(dst, b []byte) []byte {
	for _, c := range b {
		if c != '\n' && c != '\r' {
			dst = append(dst, c)
		}
	}
	return dst
}

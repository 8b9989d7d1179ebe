package bulkexport

import (
	"fmt"
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
	var s lineScanner
	i, fault := s.outermost(b)
	switch {
	case fault != nil:
		return checkedLine{}, fault
	case i < len(b):
		return checkedLine{}, &LineError{i, "text after the object"}
	case s.notUTF8:
		return checkedLine{}, &LineError{invalidUTF8(b), "invalid UTF-8"}
	case s.line.resourceType == nil:
		return checkedLine{}, &LineError{0, "no resourceType"}
	}
	return s.line, nil
}

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

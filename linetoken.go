package bulkexport

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Each of these functions reads one token of JSON from b, at or inside of
// which i is, and returns where it ends.

const (
	eachByte = 0x0101010101010101
	highBits = 0x80 * eachByte
)

// marks looks at eight bytes at once. In the result, the lowest byte with its
// high bit set is at the first quote, backslash or control character, unless a
// byte that is not ASCII comes before: those have that bit at random.
func marks(w uint64) uint64 {
	const (
		// Exchanges quotes and blanks, so that what is below 0x21 then is a
		// quote or a control character. Subtracting borrows from the next byte
		// only above a true mark.
		swap  = 0x02 * eachByte
		below = 0x21 * eachByte
		slash = '\\' * eachByte
	)
	return ((w ^ swap) - below) | ((w ^ slash) - eachByte)
}

// skipPlain passes over what is neither quote, backslash nor control character
// in ASCII, as long as there is no need to look out for the end of b: at the
// latest it stops 15 bytes before that. next3 are the three bytes at end, the
// first one lowest, or 0 if it stopped early.
//
// It has to stay small enough to be inlined, as go build -gcflags=-m=2 tells.
func skipPlain(b []byte, i int) (end int, next3 uint32) {
	for i <= len(b)-16 {
		p := (*[16]byte)(b[i:])
		w := binary.LittleEndian.Uint64(p[:])
		if hit := (marks(w) | w) & highBits; hit != 0 {
			n := bits.TrailingZeros64(hit) / 8
			return i + n, binary.LittleEndian.Uint32(p[n:]) & 0xffffff
		}
		i += 8
	}
	return i, 0
}

// text reads the rest of a string with whatever is allowed in it.
func (s *lineScanner) text(b []byte, i int) (int, *LineError) {
	for start := i; ; {
		i += markAt(b[i:])
		if i == len(b) {
			return i, &LineError{i, "string without end"}
		}
		switch b[i] {
		case '"':
			s.notUTF8 = s.notUTF8 || !utf8.Valid(b[start:i])
			return i + 1, nil
		case '\\':
			n := escapeLen(b[i:])
			if n == 0 {
				return i, &LineError{i, "invalid escape"}
			}
			i += n
		default:
			return i, &LineError{i, "control character in a string"}
		}
	}
}

// markAt returns how many bytes of b stand before the first quote, backslash
// or control character.
func markAt(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		if hit := marks(w) &^ w & highBits; hit != 0 {
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

// scalar reads a number, true, false or null.
func scalar(b []byte, i int) (int, *LineError) {
	word := ""
	switch c := byteAt(b, i); {
	case c == '-' || isDigit(c):
		return number(b, i)
	case c == 't':
		word = "true"
	case c == 'f':
		word = "false"
	case c == 'n':
		word = "null"
	}
	if word == "" || !bytes.HasPrefix(b[i:], []byte(word)) {
		return i, &LineError{i, "no JSON value"}
	}
	return i + len(word), nil
}

func number(b []byte, i int) (int, *LineError) {
	if b[i] == '-' {
		i++
	}
	from, end := i, i+1
	if byteAt(b, i) != '0' {
		end = digits(b, i)
	}
	if end > from && byteAt(b, end) == '.' {
		from = end + 1
		end = digits(b, from)
	}
	if end > from && byteAt(b, end)|0x20 == 'e' {
		from = end + 1
		if c := byteAt(b, from); c == '+' || c == '-' {
			from++
		}
		end = digits(b, from)
	}
	if end == from {
		return end, &LineError{end, "incomplete number"}
	}
	return end, nil
}

// digits returns where the digits at i end, which is i if there are none.
func digits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

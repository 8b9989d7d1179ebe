// Package rawjson passes over values in JSON text without decoding them. The
// text is expected to be valid and is not proved to be: what is malformed is a
// fault, or a value that ends elsewhere, but never a panic.
package rawjson

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math/bits"
)

// Text returns the string that begins at pos, and where it ends. The result is
// a part of data, or a copy where the string has escapes. fault says what is
// wrong at end; it is empty if nothing is.
func Text(data []byte, pos int) (text []byte, end int, fault string) {
	if pos >= len(data) || data[pos] != '"' {
		return nil, pos, "want a string"
	}
	end, plain, fault := skipString(data, pos)
	if fault != "" {
		return nil, end, fault
	}
	raw := data[pos+1 : end-1]
	if plain || bytes.IndexByte(raw, '\\') < 0 {
		return raw, end, ""
	}
	var decoded string
	if json.Unmarshal(data[pos:end], &decoded) != nil {
		return nil, end, "bad escape"
	}
	return []byte(decoded), end, ""
}

// Skip returns where the value that begins at pos ends. It never recurses on
// nested input.
func Skip(data []byte, pos int) (end int, fault string) {
	if pos >= len(data) {
		return pos, "want a value"
	}
	switch data[pos] {
	case '"':
		end, _, fault = skipString(data, pos)
		return end, fault
	case '{', '[':
		return skipNested(data, pos)
	}
	end = pos
	for end < len(data) && isLiteral(data[end]) {
		end++
	}
	if end == pos {
		return pos, "want a value"
	}
	return end, ""
}

// short is how many bytes of a string are looked at here before
// [bytes.IndexByte] takes over, which is faster from then on.
const short = 64

// skipString: most strings are short and end at the first mark, which makes
// them plain.
func skipString(data []byte, pos int) (end int, plain bool, fault string) {
	for end = pos + 1; end <= len(data)-8 && end <= pos+short; end += 8 {
		hit := marks(binary.LittleEndian.Uint64(data[end:]))
		if hit == 0 {
			continue
		}
		end += bits.TrailingZeros64(hit) / 8
		if data[end] == '"' {
			return end + 1, true, ""
		}
		break
	}
	end, fault = skipRest(data, pos, end)
	return end, false, fault
}

// skipRest passes over the string that begins at pos and has no quote before
// end. A quote ends a string unless an odd number of backslashes stands before
// it.
func skipRest(data []byte, pos, end int) (int, string) {
	for ; ; end++ {
		i := bytes.IndexByte(data[end:], '"')
		if i < 0 {
			return pos, "string without end"
		}
		end += i
		slash := end
		for slash > pos+1 && data[slash-1] == '\\' {
			slash--
		}
		if (end-slash)%2 == 0 {
			return end + 1, ""
		}
	}
}

// marks looks at eight bytes at once. In the result, the lowest byte that is
// not zero is at the first quote or backslash.
func marks(w uint64) uint64 {
	const (
		eachByte = 0x0101010101010101
		quote    = '"' * eachByte
		slash    = '\\' * eachByte
	)
	// The subtraction sets the high bit of a byte that is 0, of one above a true
	// mark by borrowing, and of some that are not ASCII, which are left out.
	return (((w ^ quote) - eachByte) | ((w ^ slash) - eachByte)) &^ w & (0x80 * eachByte)
}

// skipNested counts the brackets of an object or array.
func skipNested(data []byte, pos int) (end int, fault string) {
	for depth := 0; pos < len(data); {
		switch data[pos] {
		case '"':
			if pos, fault = skipStrings(data, pos); fault != "" {
				return pos, fault
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		pos++
		if depth == 0 {
			return pos, ""
		}
	}
	return pos, "object or array without end"
}

// What stands between most strings.
const (
	colon = '"' | ':'<<8 | '"'<<16
	comma = '"' | ','<<8 | '"'<<16
)

// skipStrings passes over a string, and over those that follow it with nothing
// but a colon or a comma between.
func skipStrings(data []byte, pos int) (end int, fault string) {
	for end = pos + 1; end <= len(data)-16 && end <= pos+short; {
		p := (*[16]byte)(data[end:])
		hit := marks(binary.LittleEndian.Uint64(p[:]))
		if hit == 0 {
			end += 8
			continue
		}
		n := bits.TrailingZeros64(hit) / 8
		end += n
		switch next := binary.LittleEndian.Uint32(p[n:]) & 0xffffff; {
		case next == colon || next == comma:
			pos = end + 2
			end = pos + 1
		case p[n] == '"':
			return end + 1, ""
		default:
			return skipRest(data, pos, end)
		}
	}
	return skipRest(data, pos, end)
}

// isLiteral knows what numbers, true, false and null are made of.
func isLiteral(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

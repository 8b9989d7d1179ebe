// Package rawjson passes over values in JSON text without decoding them. The
// text is expected to be valid and is not proved to be: what is malformed is a
// fault, or a value that ends elsewhere, but never a panic.
package rawjson

import (
	"bytes"
	"encoding/json"
)

// Text returns the string that begins at pos, and where it ends. The result is
// a part of data, or a copy where the string has escapes. fault says what is
// wrong at end; it is empty if nothing is.
func Text(data []byte, pos int) (text []byte, end int, fault string) {
	if pos >= len(data) || data[pos] != '"' {
		return nil, pos, "want a string"
	}
	end, fault = skipString(data, pos)
	if fault != "" {
		return nil, end, fault
	}
	raw := data[pos+1 : end-1]
	if bytes.IndexByte(raw, '\\') < 0 {
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
		return skipString(data, pos)
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

// skipString: a quote ends a string unless an odd number of backslashes stands
// before it.
func skipString(data []byte, pos int) (end int, fault string) {
	first := pos + 1
	for end = first; ; end++ {
		i := bytes.IndexByte(data[end:], '"')
		if i < 0 {
			return pos, "string without end"
		}
		end += i
		slash := end
		for slash > first && data[slash-1] == '\\' {
			slash--
		}
		if (end-slash)%2 == 0 {
			return end + 1, ""
		}
	}
}

// skipNested counts the brackets of an object or array.
func skipNested(data []byte, pos int) (end int, fault string) {
	for depth := 0; pos < len(data); {
		switch data[pos] {
		case '"':
			if pos, fault = skipString(data, pos); fault != "" {
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

// isLiteral knows what numbers, true, false and null are made of.
func isLiteral(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

package search

// prefix says how a value asked for (the search value) compares with one in a
// resource (the target). Both are ranges; R4 defines each prefix by how they
// lie.
type prefix string

const (
	equal          prefix = "eq"
	notEqual       prefix = "ne"
	greater        prefix = "gt"
	less           prefix = "lt"
	greaterOrEqual prefix = "ge"
	lessOrEqual    prefix = "le"
	startsAfter    prefix = "sa"
	endsBefore     prefix = "eb"
	approximately  prefix = "ap"
)

// cutPrefix splits the prefix off. A value that begins with any other letters
// is refused: it would pass for a different value.
func cutPrefix(value string) (prefix, string, *Error) {
	if len(value) < 2 || !isLetter(value[0]) {
		return equal, value, nil
	}
	switch p := prefix(value[:2]); p {
	case equal, notEqual, greater, less, greaterOrEqual, lessOrEqual, startsAfter, endsBefore,
		approximately:
		return p, value[2:], nil
	default:
		return "", "", malformed("the prefix is none of eq ne gt lt ge le sa eb ap")
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

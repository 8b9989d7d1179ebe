package search

import (
	"net/url"
	"strings"

	"github.com/bulkexport/bulkexport/fhir"
)

// SplitFilters takes one value of _typeFilter apart into queries. Clients of
// STU2 join several by commas, while a comma may as well belong to a query; so
// a query begins only where a resource type and a question mark follow a comma.
// Blanks between the two do not count. Text before the first such place stays a
// query, for [Compile] to refuse.
func SplitFilters(value string) []string {
	var filters []string
	start := 0
	for i := range len(value) {
		if value[i] == ',' && beginsQuery(afterBlanks(value[i+1:])) {
			filters = append(filters, strings.TrimLeft(value[start:i], " "))
			start = i + 1
		}
	}
	return append(filters, strings.TrimLeft(value[start:], " "))
}

// afterBlanks passes over some blanks, which is more than anybody writes.
func afterBlanks(text string) string {
	for range 8 {
		text = strings.TrimPrefix(text, " ")
	}
	return text
}

// maxTypeName is longer than any name of a resource type.
const maxTypeName = 64

// beginsQuery also knows the question mark of a query that was encoded twice.
// It looks no further than a name can be long, since there may be a comma at
// every byte.
func beginsQuery(text string) bool {
	i := strings.IndexAny(text[:min(len(text), maxTypeName)], "?%")
	if i < 0 || !fhir.R4.IsResourceType(text[:i]) {
		return false
	}
	return text[i] == '?' || len(text) >= i+3 && strings.EqualFold(text[i:i+3], "%3F")
}

// pair is a parameter of a query as the client wrote it, percent escapes
// decoded.
type pair struct {
	name, modifier, value string
}

// label is how errors name the parameter.
func (p pair) label() string {
	if p.modifier == "" {
		return p.name
	}
	return p.name + ":" + p.modifier
}

// parseQuery splits a query at its own delimiters, and only then decodes its
// parts.
func parseQuery(query string) (resourceType string, pairs []pair, fault *Error) {
	if !strings.Contains(query, "?") && strings.Contains(strings.ToLower(query), "%3f") {
		decoded, err := url.PathUnescape(query) // encoded twice as a whole
		if err == nil {
			query = decoded
		}
	}
	resourceType, rest, found := strings.Cut(query, "?")
	if fault := checkType(resourceType, found); fault != nil {
		return "", nil, fault
	}
	for text := range strings.SplitSeq(rest, "&") {
		if text == "" {
			continue
		}
		p, fault := parsePair(text)
		if fault != nil {
			fault.Type, fault.Parameter = resourceType, p.label()
			return "", nil, fault
		}
		pairs = append(pairs, p)
	}
	return resourceType, pairs, nil
}

func checkType(resourceType string, found bool) *Error {
	switch {
	case fhir.R4.IsResourceType(resourceType) && found:
		return nil
	case !found:
		return malformed("not a query: want Type?parameter=value")
	case resourceType == "":
		return unsupported("a search over all types cannot be a filter: " +
			"the query has to begin with a resource type")
	case strings.Contains(resourceType, "/"):
		return unsupported("a search within a compartment or on an instance cannot be a filter: " +
			"the query has to begin with a resource type")
	default:
		return unsupported("the query does not begin with a resource type of FHIR R4")
	}
}

func parsePair(text string) (pair, *Error) {
	name, value, found := strings.Cut(text, "=")
	name, err := url.PathUnescape(name)
	if err != nil {
		return pair{}, malformed("bad percent escape in the name of a parameter")
	}
	var p pair
	p.name, p.modifier, _ = strings.Cut(name, ":")
	if !found || value == "" {
		return p, malformed("the parameter has no value")
	}
	p.value = value
	return p, nil
}

// decode resolves the percent escapes of a value. A plus sign means a blank
// where texts are asked for, as forms write it; elsewhere it means itself,
// since clients that encode once send a plus so (time zones, telephone numbers,
// media types).
func decode(value string, isText bool) (string, *Error) {
	if isText {
		value = strings.ReplaceAll(value, "+", " ")
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "", malformed("bad percent escape in the value")
	}
	return decoded, nil
}

// encode is the inverse of decode.
func encode(value string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(value) {
		c := value[i]
		if isDigit(c) || isLetter(c) || strings.IndexByte("-._~,|:/$\\@!*();?=", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}

// splitEscaped splits at each sep that no backslash protects. The parts keep
// their backslashes.
func splitEscaped(text string, sep byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, text[start:i])
			start = i + 1
		}
	}
	return append(parts, text[start:])
}

// unescape resolves the escapes of FHIR: \, \| \$ \\. Any other backslash
// stands for itself.
func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	return strings.NewReplacer(`\\`, `\`, `\,`, `,`, `\|`, `|`, `\$`, `$`).Replace(text)
}

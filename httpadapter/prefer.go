package httpadapter

import (
	"net/http"
	"slices"
	"strings"
)

// The preferences that mean something here (Bulk Data Access, "Bulk Data
// Kick-off Request"). All others are ignored, as RFC 7240 has it.
const (
	preferAsync    = "respond-async"
	preferSeparate = "separate-export-status"
	preferHandling = "handling"
)

// preferences are what a client prefers.
type preferences struct {
	async, separate, lenient bool
}

func preferencesOf(r *http.Request) preferences {
	values := preferred(r.Header)
	has := func(name, value string) bool {
		found, ok := values[name]
		return ok && strings.EqualFold(found, value)
	}
	return preferences{
		async:    has(preferAsync, ""),
		separate: has(preferSeparate, ""),
		lenient:  has(preferHandling, "lenient"),
	}
}

// applied is the value of Preference-Applied: empty where the answer speaks for
// itself. respond-async is always applied.
func (p preferences) applied() string {
	var list []string
	if p.separate {
		list = append(list, preferSeparate)
	}
	if p.lenient {
		list = append(list, preferHandling+"=lenient")
	}
	if list == nil {
		return ""
	}
	return strings.Join(append([]string{preferAsync}, list...), ", ")
}

// preferred returns the values of the known preferences of a request, each as it
// was given first (RFC 7240, section 2). An empty value is like none.
func preferred(header http.Header) map[string]string {
	known := []string{preferAsync, preferSeparate, preferHandling}
	values := map[string]string{}
	for _, line := range header.Values("Prefer") {
		for _, item := range splitOutsideQuotes(line, ',') {
			// What follows a semicolon are parameters; none has a meaning here.
			item = splitOutsideQuotes(item, ';')[0]
			name, value, _ := strings.Cut(item, "=")
			name = strings.ToLower(strings.TrimSpace(name))
			if _, given := values[name]; !given && slices.Contains(known, name) {
				values[name] = unquote(strings.TrimSpace(value))
			}
		}
	}
	return values
}

// splitOutsideQuotes splits at a separator that is not in a quoted string. One
// that has no end goes to the end of the text.
func splitOutsideQuotes(text string, separator byte) []string {
	var parts []string
	begin, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			parts = append(parts, text[begin:i])
			begin = i + 1
		}
	}
	return append(parts, text[begin:])
}

// unquote returns what a quoted string (RFC 9110, section 5.6.4) says, and any
// other text as it is.
func unquote(text string) string {
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return text
	}
	var b strings.Builder
	for i := 1; i < len(text)-1; i++ {
		if text[i] == '\\' && i < len(text)-2 {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

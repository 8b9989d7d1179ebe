package search

import (
	"bytes"
	"strings"
)

// uriTest compares URIs to the letter, whole or by their segments. Of a
// canonical the version counts only if one is asked for.
type uriTest struct {
	mode         uriMode
	text         string
	url, version string // of text as a canonical
}

type uriMode int

const (
	uriWhole uriMode = iota
	uriAbove         // the value begins with the one in the resource
	uriBelow         // the one in the resource begins with the value
)

func newURITest(mode uriMode, text string) uriTest {
	url, version, _ := strings.Cut(text, "|")
	return uriTest{mode: mode, text: text, url: url, version: version}
}

func (c *criterion) judgeURI(s *scanner, typ dataType) bool {
	text := s.maybeText()
	for i := range c.uris {
		if c.uris[i].match(text, typ) {
			return true
		}
	}
	return false
}

func (t *uriTest) match(text []byte, typ dataType) bool {
	if len(text) == 0 {
		return false
	}
	asked := t.text
	if typ == typeCanonical {
		url, version, _ := bytes.Cut(text, []byte("|"))
		if t.version != "" && t.version != string(version) {
			return false
		}
		text, asked = url, t.url
	}
	switch t.mode {
	case uriAbove:
		return len(asked) >= len(text) && asked[:len(text)] == string(text) &&
			segmentEnds(asked, len(text))
	case uriBelow:
		return len(text) >= len(asked) && string(text[:len(asked)]) == asked &&
			(len(text) == len(asked) || text[len(asked)] == '/' || strings.HasSuffix(asked, "/"))
	default:
		return string(text) == asked
	}
}

// segmentEnds reports whether the first n bytes of a URL are whole segments.
func segmentEnds(url string, n int) bool {
	return n == len(url) || url[n] == '/' || url[n-1] == '/'
}

package search

import (
	"bytes"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// textTest looks for texts that begin with a value, contain it (:contains), or
// are the value to the letter (:exact). But for :exact, case and accents do
// not count.
type textTest struct {
	mode   textMode
	values [][]byte
	// display looks at the texts that go with a code instead (:text).
	display bool
}

type textMode int

const (
	textPrefix textMode = iota
	textContains
	textExact
)

func newTextTest(mode textMode, values []string) *textTest {
	t := &textTest{mode: mode}
	for _, v := range values {
		if mode == textExact {
			t.values = append(t.values, []byte(v))
		} else {
			t.values = append(t.values, fold(nil, []byte(v)))
		}
	}
	return t
}

func (t *textTest) match(text []byte) bool {
	if text == nil {
		return false
	}
	var buffer [256]byte
	if t.mode != textExact {
		text = fold(buffer[:0], text)
	}
	for _, v := range t.values {
		if t.mode == textPrefix && bytes.HasPrefix(text, v) ||
			t.mode == textContains && bytes.Contains(text, v) ||
			t.mode == textExact && bytes.Equal(text, v) {
			return true
		}
	}
	return false
}

// fold appends text to dst without case and accents: decomposed (NFD, but for
// Hangul syllables), marks dropped, letters that differ by case made the same.
func fold(dst, text []byte) []byte {
	ascii := len(dst)
	for _, c := range text {
		if c >= utf8.RuneSelf {
			return foldRunes(dst[:ascii], text)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

func foldRunes(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		decomposition := norm.NFD.Properties(text).Decomposition()
		text = text[size:]
		if decomposition == nil {
			dst = appendFolded(dst, r)
			continue
		}
		for len(decomposition) > 0 {
			r, size := utf8.DecodeRune(decomposition)
			decomposition = decomposition[size:]
			dst = appendFolded(dst, r)
		}
	}
	return dst
}

func appendFolded(dst []byte, r rune) []byte {
	if unicode.Is(unicode.Mn, r) {
		return dst
	}
	return utf8.AppendRune(dst, unicode.ToLower(unicode.ToUpper(r)))
}

// anyText reads a value of any type that has texts.
func (s *scanner) anyText(t *textTest, typ dataType) bool {
	switch {
	case t.display:
		return s.display(t, typ)
	case typ == typeName || typ == typeAddress:
		return s.parts(t, typ)
	default:
		return t.match(s.maybeText())
	}
}

// parts reads a HumanName or an Address.
func (s *scanner) parts(t *textTest, typ dataType) bool {
	met := false
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); {
		case met || !isPart(name, typ):
			s.skip()
		case s.peek() == '[':
			for more := s.enter('['); more; more = s.next(']') {
				met = t.match(s.maybeText()) || met
			}
		default:
			met = t.match(s.maybeText())
		}
	}
	return met
}

func isPart(name []byte, typ dataType) bool {
	switch string(name) {
	case "text":
		return true
	case "family", "given", "prefix", "suffix":
		return typ == typeName
	case "line", "city", "district", "state", "postalCode", "country":
		return typ == typeAddress
	default:
		return false
	}
}

// display reads the texts that go with a code: CodeableConcept.text,
// Coding.display, Identifier.type.text.
func (s *scanner) display(t *textTest, typ dataType) bool {
	met := false
	for more := s.enter('{'); more; more = s.next('}') {
		name := s.name()
		switch {
		case met:
			s.skip()
		case typ == typeIdentifier && string(name) == "type":
			met = s.member("text", t)
		case typ == typeCoding && string(name) == "display",
			typ == typeCodeableConcept && string(name) == "text":
			met = t.match(s.maybeText())
		case typ == typeCodeableConcept && string(name) == "coding":
			for more := s.enter('['); more; more = s.next(']') {
				met = s.member("display", t) || met
			}
		default:
			s.skip()
		}
	}
	return met
}

// member reads an object and judges one member of it.
func (s *scanner) member(name string, t *textTest) bool {
	met := false
	for more := s.enter('{'); more; more = s.next('}') {
		if string(s.name()) == name {
			met = t.match(s.maybeText())
		} else {
			s.skip()
		}
	}
	return met
}

package search

import (
	"bytes"
	"strings"

	"github.com/bulkexport/bulkexport/fhir"
)

// reference is a reference in its parts:
//
//	[base/]resourceType/id[/_history/version]
//
// One of another form (urn:, a contained resource) has only its text.
type reference struct {
	text                            []byte
	base, resourceType, id, version []byte
	// declared is Reference.type.
	declared []byte
}

func parseReference(text []byte) reference {
	r := reference{text: text}
	path, version, _ := bytes.Cut(text, []byte("/_history/"))
	i := bytes.LastIndexByte(path, '/')
	if i < 1 {
		return r
	}
	j := bytes.LastIndexByte(path[:i], '/')
	if j == 0 {
		return r
	}
	r.id, r.resourceType, r.version = path[i+1:], path[j+1:i], version
	if j > 0 {
		r.base = path[:j]
	}
	return r
}

// leadsTo reports whether the reference is to a resource of the type. What
// kind of resource a contained one is, is known only where Reference.type says
// it.
func (r reference) leadsTo(resourceType string) bool {
	if r.id == nil {
		return string(r.declared) == resourceType
	}
	return string(r.resourceType) == resourceType
}

// localize drops the base if it is one of the host's own.
func (r *reference) localize(baseURLs []string) {
	for _, base := range baseURLs {
		if string(r.base) == base {
			r.base = nil
		}
	}
}

// referenceTest compares with a reference, or with the URL of a canonical. An
// id alone is that of any type.
type referenceTest struct {
	reference
	uri uriTest
}

func (t *referenceTest) match(r *reference) bool {
	switch {
	case t.id == nil:
		return bytes.Equal(t.text, r.text)
	case t.resourceType != nil && string(t.resourceType) != string(r.resourceType):
		return false
	default:
		return string(t.id) == string(r.id) && string(t.base) == string(r.base) &&
			(len(t.version) == 0 || string(t.version) == string(r.version))
	}
}

func newReferenceTest(value string, baseURLs []string, canonical bool) (referenceTest, *Error) {
	value = unescape(value)
	t := referenceTest{reference: parseReference([]byte(value)), uri: newURITest(uriWhole, value)}
	t.localize(baseURLs)
	switch {
	case canonical, strings.Contains(value, ":"):
		return t, nil
	case fhir.ValidID(value):
		t.id = []byte(value)
		return t, nil
	case len(t.base) == 0 && fhir.R4.IsResourceType(string(t.resourceType)) && fhir.ValidID(string(t.id)):
		return t, nil
	default:
		return t, malformed("not a reference: want an id, Type/id or an absolute URL")
	}
}

// newTypedReferenceTest is for parameter:Type=id.
func newTypedReferenceTest(resourceType, value string) (referenceTest, *Error) {
	id := strings.TrimPrefix(value, resourceType+"/")
	if !fhir.ValidID(id) {
		return referenceTest{}, malformed("not an id, which a type as modifier needs")
	}
	return referenceTest{reference: parseReference([]byte(resourceType + "/" + id))}, nil
}

// judgeReference compares a Reference, or the URL of a canonical.
func (c *criterion) judgeReference(s *scanner, typ dataType) bool {
	var r reference
	var url []byte
	if typ == typeReference {
		r = s.reference()
		r.localize(c.baseURLs)
	} else {
		url = s.maybeText()
	}
	for i := range c.references {
		t := &c.references[i]
		if r.text != nil && t.match(&r) || url != nil && t.uri.match(url, typ) {
			return true
		}
	}
	return false
}

func (s *scanner) reference() reference {
	var text, declared []byte
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); string(name) {
		case "reference":
			text = s.maybeText()
		case "type":
			declared = s.maybeText()
		default:
			s.skip()
		}
	}
	r := parseReference(text)
	r.declared = declared
	return r
}

// referenceIdentifier reads a Reference and judges its identifier.
func (s *scanner) referenceIdentifier(tokens []token) bool {
	met := false
	for more := s.enter('{'); more; more = s.next('}') {
		if string(s.name()) == "identifier" {
			met = s.identifier(tokens)
		} else {
			s.skip()
		}
	}
	return met
}

package search

// criterion is one parameter of a query with its alternatives. It is met when
// any value in the resource meets any alternative, or, if it is negated, when
// none does.
type criterion struct {
	paths   []path
	negated bool
	// names are the bits of the members that have to be seen before a miss is
	// certain.
	names uint64

	// One of these is set, and says how a value is judged.
	present      bool
	tokens       []token
	texts        *textTest
	dates        []dateTest
	numbers      []numberTest
	quantities   []quantityTest
	references   []referenceTest
	uris         []uriTest
	alternatives []conjunction

	// ofIdentifier judges the identifier of a reference by the tokens.
	ofIdentifier bool
	// baseURLs are the host's own.
	baseURLs []string
}

// judge reads the value that is next, whole, and reports whether it meets an
// alternative.
func (c *criterion) judge(s *scanner, l *leaf) bool {
	switch {
	case c.present:
		return s.present()
	case c.ofIdentifier:
		return s.referenceIdentifier(c.tokens)
	case c.tokens != nil:
		return s.token(c.tokens, l)
	case c.texts != nil:
		return s.anyText(c.texts, l.typ)
	case c.dates != nil:
		return c.judgeDate(s, l.typ)
	case c.numbers != nil:
		return c.judgeNumber(s, l.typ)
	case c.quantities != nil:
		return c.judgeQuantity(s, l.typ)
	case c.references != nil:
		return c.judgeReference(s, l.typ)
	case c.uris != nil:
		return c.judgeURI(s, l.typ)
	case c.alternatives != nil:
		return c.judgeComposite(s)
	default:
		s.skip()
		return false
	}
}

// judgeComposite judges one element by alternatives that have to be met within
// it.
func (c *criterion) judgeComposite(s *scanner) bool {
	if s.peek() != '{' {
		s.skip()
		return false
	}
	start, met := s.pos, false
	for i := range c.alternatives {
		s.pos = start
		if c.alternatives[i].holds(s) {
			met = true
			break
		}
	}
	s.pos = start
	s.skip()
	return met
}

// present reads a value and reports whether there is one: an object that has
// nothing but an id and extensions (a reason why the data are absent) is none.
func (s *scanner) present() bool {
	switch s.peek() {
	case '{':
		met := false
		for more := s.enter('{'); more; more = s.next('}') {
			name := s.name()
			met = met || string(name) != "id" && string(name) != "extension"
			s.skip()
		}
		return met
	case 'n': // null
		s.skip()
		return false
	default:
		s.skip()
		return true
	}
}

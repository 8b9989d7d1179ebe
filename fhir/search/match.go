package search

import "slices"

// maxCriteria is what fits into the bit sets below, the type included.
const maxCriteria = 64

// conjunction is a set of criteria that the resource, or one element of it, has
// to meet. All are judged in one walk, which ends as soon as the answer is
// known.
type conjunction struct {
	criteria []criterion
	root     node
	// names are those of the first steps; the choices of an element share one.
	names []string
}

// add joins a criterion to the tree.
func (c *conjunction) add(cr criterion) {
	index := len(c.criteria)
	for _, p := range cr.paths {
		at := &c.root
		for i, s := range p.steps {
			at = at.child(s)
			if i == 0 {
				at.bit = c.bit(s.choice)
				cr.names |= at.bit
			}
		}
		at.leaves = append(at.leaves, leaf{criterion: index, typ: p.typ, systems: p.systems})
	}
	c.criteria = append(c.criteria, cr)
}

// bit returns the bit of a first step's name. They fit: no type has more than 24
// names that parameters begin with.
func (c *conjunction) bit(name string) uint64 {
	i := slices.Index(c.names, name)
	if i < 0 {
		i = len(c.names)
		c.names = append(c.names, name)
	}
	return 1 << i
}

// holds judges the object that is next. Where it stops is not said.
func (c *conjunction) holds(s *scanner) bool {
	if s.peek() != '{' {
		s.fail("want {")
		return false
	}
	var found, seen uint64
	start := s.pos
	for i := range c.root.leaves {
		c.judge(s, &c.root.leaves[i], &found)
		s.pos = start
	}
	for more := s.enter('{'); more; more = s.next('}') {
		bit := c.member(s, &c.root, &found)
		if bit == 0 || s.err != nil {
			continue
		}
		seen |= bit
		if verdict, known := c.verdict(found, seen); known {
			return verdict
		}
	}
	verdict, _ := c.verdict(found, ^uint64(0))
	return verdict && s.err == nil
}

// verdict says whether the criteria are met, and whether that is known after
// the members seen so far.
func (c *conjunction) verdict(found, seen uint64) (met, known bool) {
	known = true
	for i := range c.criteria {
		hit := found>>i&1 == 1
		switch {
		case !hit && c.criteria[i].names&^seen != 0:
			known = false
		case hit == c.criteria[i].negated:
			return false, true
		}
	}
	return known, known
}

// member reads a member of the object of n, and returns the bit of its name if
// a criterion asks for it.
func (c *conjunction) member(s *scanner, n *node, found *uint64) (bit uint64) {
	name := s.name()
	start, wanted := s.pos, false
	for _, child := range n.children {
		if child.name == string(name) {
			s.pos = start
			c.value(s, child, found)
			bit, wanted = child.bit, true
		}
	}
	if !wanted {
		s.skip()
	}
	return bit
}

func (c *conjunction) value(s *scanner, n *node, found *uint64) {
	if s.peek() != '[' {
		c.item(s, n, found)
		return
	}
	for more := s.enter('['); more; more = s.next(']') {
		c.item(s, n, found)
	}
}

// item reads one value at a node: for its children, and for each leaf again.
func (c *conjunction) item(s *scanner, n *node, found *uint64) {
	s.peek()
	start := s.pos
	if n.member != "" || n.target != "" {
		if !n.meets(s) {
			return
		}
		s.pos = start
	}
	if len(n.children) > 0 {
		for more := s.enter('{'); more; more = s.next('}') {
			c.member(s, n, found)
		}
	}
	for i := range n.leaves {
		if *found>>n.leaves[i].criterion&1 == 0 {
			s.pos = start
			c.judge(s, &n.leaves[i], found)
		}
	}
	if s.pos == start {
		s.skip()
	}
}

// meets reads the value and reports whether it meets the condition of the step.
func (st *step) meets(s *scanner) bool {
	if st.target != "" {
		return s.reference().leadsTo(st.target)
	}
	met := false
	for more := s.enter('{'); more; more = s.next('}') {
		if string(s.name()) == st.member {
			met = string(s.maybeText()) == st.value
		} else {
			s.skip()
		}
	}
	return met
}

// judge reads a value and notes whether the criterion is met by it.
func (c *conjunction) judge(s *scanner, l *leaf, found *uint64) {
	if c.criteria[l.criterion].judge(s, l) {
		*found |= 1 << l.criterion
	}
}

package search

// quantityTest is [prefix]number, followed or not by |system|code, |system| or
// ||code. The unit
// is compared as it stands; nothing is converted.
type quantityTest struct {
	number numberTest
	scope  scope // anySystem: any unit; noSystem: code or unit is the text
	system string
	code   string
}

// currencies is the system of Money.currency.
const currencies = "urn:iso:std:iso:4217"

func newQuantityTest(value string) (quantityTest, *Error) {
	parts := splitEscaped(value, '|')
	if len(parts) != 1 && len(parts) != 3 || len(parts) == 3 && parts[1]+parts[2] == "" {
		return quantityTest{}, malformed("not a quantity: want number, number|system|code or number||code")
	}
	number, fault := newNumberTest(parts[0])
	t := quantityTest{number: number}
	if len(parts) == 3 {
		t.system, t.code = unescape(parts[1]), unescape(parts[2])
		t.scope = oneSystem
		if t.system == "" {
			t.scope = noSystem
		}
	}
	return t, fault
}

// quantity is the value in a resource with its unit.
type quantity struct {
	interval
	system, code, unit []byte
}

func (t *quantityTest) match(q *quantity) bool {
	switch {
	case t.scope == oneSystem && string(q.system) != t.system,
		t.scope == oneSystem && t.code != "" && string(q.code) != t.code:
		return false
	case t.scope == noSystem && string(q.code) != t.code && string(q.unit) != t.code:
		return false
	default:
		return t.number.match(q.interval)
	}
}

func (c *criterion) judgeQuantity(s *scanner, typ dataType) bool {
	var (
		q  quantity
		ok bool
	)
	switch typ {
	case typeRange:
		q, ok = s.rangeOf()
	case typeMoney:
		q, ok = s.money()
	default:
		q, ok = s.quantity()
	}
	if !ok {
		return false
	}
	for i := range c.quantities {
		if c.quantities[i].match(&q) {
			return true
		}
	}
	return false
}

func (s *scanner) quantity() (quantity, bool) {
	var (
		q          quantity
		comparator []byte
		n          decimal
		ok         bool
	)
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); string(name) {
		case "value":
			n, ok = parseDecimal(s.maybeNumber())
		case "comparator":
			comparator = s.maybeText()
		case "system":
			q.system = s.maybeText()
		case "code":
			q.code = s.maybeText()
		case "unit":
			q.unit = s.maybeText()
		default:
			s.skip()
		}
	}
	q.interval = point(n)
	return q, ok && q.compared(comparator)
}

// compared makes a range of a value with a comparator: "<5" is all below 5.
func (q *quantity) compared(comparator []byte) bool {
	switch string(comparator) {
	case "":
	case "<":
		q.low.unbounded, q.high.open = true, true
	case "<=":
		q.low.unbounded = true
	case ">":
		q.low.open, q.high.unbounded = true, true
	case ">=":
		q.high.unbounded = true
	default:
		return false
	}
	return true
}

func (s *scanner) money() (quantity, bool) {
	var (
		q  = quantity{system: []byte(currencies)}
		n  decimal
		ok bool
	)
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); string(name) {
		case "value":
			n, ok = parseDecimal(s.maybeNumber())
		case "currency":
			q.code = s.maybeText()
		default:
			s.skip()
		}
	}
	q.interval = point(n)
	return q, ok
}

// rangeOf reads a Range, open where it lacks a bound. Its unit is that of the
// bounds; R4 wants them the same.
func (s *scanner) rangeOf() (quantity, bool) {
	open := quantity{interval: interval{low: bound{unbounded: true}, high: bound{unbounded: true}}}
	low, high, hasLow, hasHigh, good := open, open, false, false, true
	for more := s.enter('{'); more; more = s.next('}') {
		ok := true
		switch name := s.name(); string(name) {
		case "low":
			low, ok = s.quantity()
			hasLow = true
		case "high":
			high, ok = s.quantity()
			hasHigh = true
		default:
			s.skip()
		}
		good = good && ok
	}
	q := low
	if !hasLow {
		q = high
	}
	q.interval = interval{low: low.low, high: high.high}
	return q, good && (hasLow || hasHigh)
}

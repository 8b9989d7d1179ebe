package search

import "math/big"

// numberTest is a number with its prefix. R4 takes the precision it is written
// in for eq and ne: 10 is from 9.5 up to, not including, 10.5, and 1e2 from 50 to
// 150 (that is R4's rule; its example for 1e2 differs). The other prefixes take
// it for exact, but for ap: a tenth more or less, and no less than eq.
type numberTest struct {
	prefix    prefix
	exact     decimal
	low, high decimal // the range of eq, ne and ap
}

// maxNumber is the longest number, and maxPower the largest exponent in a
// query; both are far beyond what is measured.
const (
	maxNumber = 100
	maxPower  = 1000
)

func newNumberTest(value string) (numberTest, *Error) {
	p, rest, fault := cutPrefix(value)
	if fault != nil {
		return numberTest{}, fault
	}
	exact, ok := parseDecimal([]byte(rest))
	if !ok || len(rest) > maxNumber {
		return numberTest{}, malformed("not a number")
	}
	coefficient, exp := scaled(rest)
	if exp < -maxPower || exp > maxPower {
		return numberTest{}, malformed("the exponent is out of range")
	}
	t := numberTest{prefix: p, exact: exact}
	tenfold := new(big.Int).Mul(coefficient, big.NewInt(10))
	margin := big.NewInt(5) // half of the last digit
	t.low = newDecimal(new(big.Int).Sub(tenfold, margin), exp-1)
	t.high = newDecimal(new(big.Int).Add(tenfold, margin), exp-1)
	if tenth := new(big.Int).Abs(coefficient); p == approximately && tenth.Cmp(margin) > 0 {
		t.low = newDecimal(new(big.Int).Sub(tenfold, tenth), exp-1)
		t.high = newDecimal(new(big.Int).Add(tenfold, tenth), exp-1)
	}
	return t, nil
}

// bound is an end of a range: unbounded, or at a number, with or without it.
type bound struct {
	at        decimal
	unbounded bool
	open      bool
}

// interval is the value in a resource: a number, a Range, or a number with a
// comparator.
type interval struct{ low, high bound }

// above and below report whether the end lies beyond n.
func (b bound) above(n decimal) bool { return b.unbounded || b.at.compare(n) > 0 }

func (b bound) below(n decimal) bool { return b.unbounded || b.at.compare(n) < 0 }

// touches reports whether n itself is the end and belongs to the interval.
func (b bound) touches(n decimal) bool { return !b.unbounded && !b.open && b.at.compare(n) == 0 }

func (t *numberTest) match(v interval) bool {
	n := t.exact
	switch t.prefix {
	case notEqual:
		return !t.contains(v)
	case greater:
		return v.high.above(n)
	case greaterOrEqual:
		return v.high.above(n) || v.high.touches(n)
	case less:
		return v.low.below(n)
	case lessOrEqual:
		return v.low.below(n) || v.low.touches(n)
	case startsAfter:
		return !v.low.below(n) && !v.low.touches(n)
	case endsBefore:
		return !v.high.above(n) && !v.high.touches(n)
	case approximately:
		return (v.high.above(t.low) || v.high.touches(t.low)) &&
			(v.low.below(t.high) || v.low.touches(t.high))
	default:
		return t.contains(v)
	}
}

// contains reports whether the interval lies within the range of eq, of which
// the high end is not a part.
func (t *numberTest) contains(v interval) bool {
	return !v.low.unbounded && !v.high.unbounded &&
		v.low.at.compare(t.low) >= 0 && v.high.at.compare(t.high) < 0
}

func (c *criterion) judgeNumber(s *scanner, typ dataType) bool {
	v, ok := s.number(typ)
	if !ok {
		return false
	}
	for i := range c.numbers {
		if c.numbers[i].match(v) {
			return true
		}
	}
	return false
}

func (s *scanner) number(typ dataType) (interval, bool) {
	if typ == typeRange {
		r, ok := s.rangeOf()
		return r.interval, ok
	}
	n, ok := parseDecimal(s.maybeNumber())
	return point(n), ok
}

func point(n decimal) interval { return interval{low: bound{at: n}, high: bound{at: n}} }

package search

import (
	"math"
	"strings"
	"time"
)

// instant is a point in time: seconds and nanoseconds of UTC.
type instant struct{ sec, nsec int64 }

// earliest and latest stand for the open ends of a Period.
var (
	earliest = instant{sec: math.MinInt64}
	latest   = instant{sec: math.MaxInt64}
)

func (a instant) before(b instant) bool {
	return a.sec < b.sec || a.sec == b.sec && a.nsec < b.nsec
}

// span is the time from start to end, end excluded. A date is the span of its
// precision: 2013-01 is the whole month.
type span struct{ start, end instant }

func (a span) contains(b span) bool { return !b.start.before(a.start) && !a.end.before(b.end) }

func (a span) overlaps(b span) bool { return a.start.before(b.end) && b.start.before(a.end) }

// dateTest is a date with its prefix. Of ap the span is widened.
type dateTest struct {
	prefix prefix
	span   span
}

// newDateTest takes a blank for the plus sign of a time zone, which it was
// before somebody decoded the query as a form.
func newDateTest(value string, now time.Time) (dateTest, *Error) {
	p, rest, fault := cutPrefix(strings.ReplaceAll(value, " ", "+"))
	if fault != nil {
		return dateTest{}, fault
	}
	asked, ok := parseDate([]byte(rest))
	if !ok {
		return dateTest{}, malformed("not a date: want YYYY, YYYY-MM, YYYY-MM-DD or " +
			"YYYY-MM-DDThh:mm[:ss] with a time zone")
	}
	if p == approximately {
		asked = widen(asked, now.Unix())
	}
	return dateTest{prefix: p, span: asked}, nil
}

// widen adds on both sides a tenth of the gap between the span and now, which
// R4 recommends.
func widen(s span, now int64) span {
	gap := max(s.start.sec-now, now-s.end.sec, 0) / 10
	s.start.sec -= gap
	s.end.sec += gap
	return s
}

// match compares as R4's table of prefixes says. For ge and le a part of the
// target is enough: a Period that ends on the day asked for is ge.
func (t *dateTest) match(target span) bool {
	switch asked := t.span; t.prefix {
	case notEqual:
		return !asked.contains(target)
	case greater:
		return asked.end.before(target.end)
	case less:
		return target.start.before(asked.start)
	case greaterOrEqual:
		return asked.start.before(target.end)
	case lessOrEqual:
		return target.start.before(asked.end)
	case startsAfter:
		return !target.start.before(asked.end)
	case endsBefore:
		return !asked.start.before(target.end)
	case approximately:
		return asked.overlaps(target)
	default:
		return asked.contains(target)
	}
}

func (c *criterion) judgeDate(s *scanner, typ dataType) bool {
	target, ok := s.span(typ)
	if !ok {
		return false
	}
	for i := range c.dates {
		if c.dates[i].match(target) {
			return true
		}
	}
	return false
}

// span reads a value of any type that has a time. It is false for one that has
// none.
func (s *scanner) span(typ dataType) (span, bool) {
	switch typ {
	case typeDate:
		return parseDate(s.maybeText())
	case typeInstant:
		return parseInstant(s.maybeText())
	case typePeriod:
		return s.period()
	default:
		return s.timing()
	}
}

// period reads a Period. Without start or end it is open there.
func (s *scanner) period() (span, bool) {
	whole, some, good := span{earliest, latest}, false, true
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); string(name) {
		case "start":
			first, ok := parseDate(s.maybeText())
			whole.start, some, good = first.start, true, good && ok
		case "end":
			last, ok := parseDate(s.maybeText())
			whole.end, some, good = last.end, true, good && ok
		default:
			s.skip()
		}
	}
	return whole, some && good && whole.start.before(whole.end)
}

// timing reads a Timing. Only its outer limits count, as R4 says: of the events
// and of the bounds, if those are a Period.
func (s *scanner) timing() (span, bool) {
	outer := span{latest, earliest}
	for more := s.enter('{'); more; more = s.next('}') {
		switch name := s.name(); string(name) {
		case "event":
			for more := s.enter('['); more; more = s.next(']') {
				outer.add(parseDate(s.maybeText()))
			}
		case "repeat":
			for more := s.enter('{'); more; more = s.next('}') {
				if string(s.name()) == "boundsPeriod" {
					outer.add(s.span(typePeriod))
				} else {
					s.skip()
				}
			}
		default:
			s.skip()
		}
	}
	return outer, outer.start.before(outer.end)
}

func (a *span) add(b span, ok bool) {
	if !ok {
		return
	}
	if b.start.before(a.start) {
		a.start = b.start
	}
	if a.end.before(b.end) {
		a.end = b.end
	}
}

package search

import "time"

const (
	day    = 24 * 60 * 60
	second = int64(time.Second)
)

// parseDate reads a date, dateTime or instant of any precision. A time without
// zone is taken for UTC, in queries as in resources. Of a fraction of a second
// nine digits count.
func parseDate(text []byte) (span, bool) {
	r := dateReader{rest: text}
	y := r.number(4, 0, 9999)
	if r.ended() {
		return span{at(y, 1, 1), at(y+1, 1, 1)}, !r.bad
	}
	r.expect('-')
	m := r.number(2, 1, 12)
	if r.ended() {
		return span{at(y, m, 1), at(y, m+1, 1)}, !r.bad
	}
	r.expect('-')
	d := r.number(2, 1, 31)
	midnight := at(y, m, d)
	if !midnight.before(at(y, m+1, 1)) { // no such day in this month
		return span{}, false
	}
	if r.ended() {
		return span{midnight, midnight.plus(day, 0)}, !r.bad
	}
	r.expect('T')
	start, sec, nsec := r.clock(midnight)
	return span{start, start.plus(sec, nsec)}, !r.bad
}

// parseInstant reads an instant of a resource, which R4 takes for a point in
// time whatever its digits.
func parseInstant(text []byte) (span, bool) {
	s, ok := parseDate(text)
	s.end = s.start.plus(0, 1)
	return s, ok
}

// at returns the first instant of a day. A month of 13 is the next January.
func at(year, month, day int) instant {
	return instant{sec: time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Unix()}
}

func (a instant) plus(sec, nsec int64) instant {
	a.sec += sec
	a.nsec += nsec
	return instant{a.sec + a.nsec/second, a.nsec % second}
}

// dateReader reads digits and separators; what it does not find makes it bad.
type dateReader struct {
	rest []byte
	bad  bool
}

func (r *dateReader) ended() bool { return len(r.rest) == 0 }

func (r *dateReader) accept(c byte) bool {
	if r.ended() || r.rest[0] != c {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

func (r *dateReader) expect(c byte) {
	if !r.accept(c) {
		r.bad = true
	}
}

func (r *dateReader) number(digits, low, high int) int {
	n := 0
	for range digits {
		if r.ended() || !isDigit(r.rest[0]) {
			r.bad = true
			return low
		}
		n = 10*n + int(r.rest[0]-'0')
		r.rest = r.rest[1:]
	}
	if n < low || n > high {
		r.bad = true
	}
	return n
}

// clock reads the time of a day, and returns when it begins and how long it is.
func (r *dateReader) clock(midnight instant) (start instant, sec, nsec int64) {
	start, sec = midnight, 60
	start.sec += int64(r.number(2, 0, 23)) * 3600
	r.expect(':')
	start.sec += int64(r.number(2, 0, 59)) * 60
	if r.accept(':') {
		start.sec += int64(r.number(2, 0, 60))
		sec = 1
		if r.accept('.') {
			start.nsec, nsec = r.fraction()
			sec = 0
		}
	}
	start.sec -= r.zone()
	r.bad = r.bad || !r.ended()
	return start, sec, nsec
}

// fraction returns the nanoseconds and what the last digit is worth.
func (r *dateReader) fraction() (nsec, width int64) {
	width = second
	r.bad = r.bad || r.ended()
	for ; !r.ended() && isDigit(r.rest[0]); r.rest = r.rest[1:] {
		if width > 1 {
			width /= 10
			nsec += int64(r.rest[0]-'0') * width
		}
	}
	r.bad = r.bad || width == second
	return nsec, width
}

// zone returns the seconds that local time is ahead of UTC.
func (r *dateReader) zone() int64 {
	sign := int64(1)
	switch {
	case r.ended() || r.accept('Z'):
		return 0
	case r.accept('-'):
		sign = -1
	default:
		r.expect('+')
	}
	hours := r.number(2, 0, 14)
	r.expect(':')
	return sign * int64(hours*3600+r.number(2, 0, 59)*60)
}

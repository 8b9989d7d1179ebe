package search

import (
	"bytes"
	"cmp"
	"math/big"
	"strconv"
)

// decimal is an exact decimal number that borrows its digits from the text it
// was read from: 0.d1d2d3… × 10^exp. Zero has no digits.
type decimal struct {
	negative bool
	digits   []byte // first and last are not 0; there may be a point between
	exp      int
}

// maxExponent bounds exponents. One beyond it counts as this one.
const maxExponent = 1_000_000_000

// parseDecimal reads a number as FHIR and JSON write it.
func parseDecimal(text []byte) (decimal, bool) {
	var d decimal
	text, d.negative = bytes.CutPrefix(text, []byte("-"))
	mantissa, exponent := text, []byte(nil)
	if i := bytes.IndexAny(text, "eE"); i >= 0 {
		mantissa, exponent = text[:i], text[i+1:]
	}
	point := bytes.IndexByte(mantissa, '.')
	if !isMantissa(mantissa, point) || exponent == nil && len(mantissa) < len(text) {
		return decimal{}, false
	}
	if exponent != nil {
		exp, ok := parseExponent(exponent)
		if !ok {
			return decimal{}, false
		}
		d.exp = exp
	}
	whole := len(mantissa)
	if point >= 0 {
		whole = point
	}
	first := bytes.IndexAny(mantissa, "123456789")
	if first < 0 {
		return decimal{}, true
	}
	d.exp += whole - first
	if first > whole {
		d.exp++ // the point is not a digit
	}
	d.digits = bytes.TrimRight(mantissa[first:], "0")
	d.digits = bytes.TrimRight(bytes.TrimSuffix(d.digits, []byte(".")), "0")
	return d, true
}

// isMantissa reports whether text is digits with at most one point, at index
// point, and digits on both sides of it; no 0 before other digits.
func isMantissa(text []byte, point int) bool {
	whole := text
	if point >= 0 {
		whole = text[:point]
		if !isDigits(text[point+1:]) {
			return false
		}
	}
	return isDigits(whole) && (whole[0] != '0' || len(whole) == 1)
}

func isDigits(text []byte) bool {
	for _, c := range text {
		if !isDigit(c) {
			return false
		}
	}
	return len(text) > 0
}

func parseExponent(text []byte) (int, bool) {
	negative := false
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		negative = text[0] == '-'
		text = text[1:]
	}
	if !isDigits(text) {
		return 0, false
	}
	exp := 0
	for _, c := range text {
		exp = min(10*exp+int(c-'0'), maxExponent)
	}
	if negative {
		exp = -exp
	}
	return exp, true
}

// compare returns -1, 0 or 1. It is exact for any number of digits.
func (a decimal) compare(b decimal) int {
	switch {
	case a.sign() != b.sign():
		return cmp.Compare(a.sign(), b.sign())
	case a.sign() < 0:
		return comparePositive(b, a)
	default:
		return comparePositive(a, b)
	}
}

func (a decimal) sign() int {
	switch {
	case len(a.digits) == 0:
		return 0
	case a.negative:
		return -1
	default:
		return 1
	}
}

func comparePositive(a, b decimal) int {
	if a.exp != b.exp || len(a.digits) == 0 {
		return cmp.Compare(a.exp, b.exp)
	}
	x, y := a.digits, b.digits
	for len(x) > 0 && len(y) > 0 {
		switch {
		case x[0] == '.':
			x = x[1:]
		case y[0] == '.':
			y = y[1:]
		case x[0] != y[0]:
			return cmp.Compare(x[0], y[0])
		default:
			x, y = x[1:], y[1:]
		}
	}
	return cmp.Compare(len(x), len(y)) // the last digit is not 0
}

// scaled returns the coefficient and the exponent of a number as it is written:
// 1.50 is 150 × 10^-2. The text has been parsed before.
func scaled(text string) (coefficient *big.Int, exp int) {
	digits := make([]byte, 0, len(text))
	fraction := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.':
			fraction = true
		case c|0x20 == 'e':
			e, _ := parseExponent([]byte(text[i+1:]))
			exp += e
			coefficient, _ = new(big.Int).SetString(string(digits), 10)
			return coefficient, exp
		default:
			digits = append(digits, c)
			if fraction {
				exp--
			}
		}
	}
	coefficient, _ = new(big.Int).SetString(string(digits), 10)
	return coefficient, exp
}

// newDecimal returns coefficient × 10^exp.
func newDecimal(coefficient *big.Int, exp int) decimal {
	d, _ := parseDecimal([]byte(coefficient.String() + "e" + strconv.Itoa(exp)))
	return d
}

package synthetic

import (
	"encoding/hex"
	"math/bits"
	"math/rand/v2"
	"strconv"
	"time"
)

// seed makes this population and no other.
const seed = 0x42756c6b

// The first and the last moment of the records, in Unix time: the beginning of
// 2018 and the end of 2025.
const (
	firstMoment = 1514764800
	lastMoment  = 1767225599
)

const day = 24 * 60 * 60

// recorder writes records one after another. What is the same in several of
// them (who, where, when) is said once, by set, and stays until set again.
type recorder struct {
	random    *rand.PCG
	templates map[string]template
	values    map[string]string
	out       []byte
}

func newRecorder() *recorder {
	return &recorder{
		random:    rand.NewPCG(seed, 0),
		templates: map[string]template{},
		values:    map[string]string{},
	}
}

// seed makes everything that follows depend on n alone.
func (r *recorder) seed(n int) { r.random.Seed(seed, uint64(n)) }

// set gives values to names; pairs are name, value, name, value and so on.
func (r *recorder) set(pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		r.values[pairs[i]] = pairs[i+1]
	}
}

// write adds one record, last updated some time after the given moment.
func (r *recorder) write(name string, moment int64) {
	t, ok := r.templates[name]
	if !ok {
		t = loadTemplate(name)
		r.templates[name] = t
	}
	version, updated := 1, moment+int64(60+r.below(3600))
	if r.below(8) == 0 { // amended later
		version, updated = 2, updated+int64(r.below(180*day))
	}
	r.set("version", strconv.Itoa(version), "updated", instant(min(updated, lastMoment)))
	r.out = append(t.appendTo(r.out, r.values), '\n')
}

// take returns what was written since the last call, valid until the next write.
func (r *recorder) take() []byte {
	out := r.out
	r.out = r.out[:0]
	return out
}

// below returns a number from 0 to n-1. The methods of rand.Rand might change
// with a version of Go; the generator beneath may not.
func (r *recorder) below(n int) int {
	high, _ := bits.Mul64(r.random.Uint64(), uint64(n))
	return int(high)
}

// between returns a number from low to high.
func (r *recorder) between(low, high int) int { return low + r.below(high-low+1) }

// digits returns a string of n decimal digits.
func (r *recorder) digits(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('0' + r.below(10))
	}
	return string(b)
}

// id returns a version 4 UUID.
func (r *recorder) id() string {
	var raw [16]byte
	for i, word := range [...]uint64{r.random.Uint64(), r.random.Uint64()} {
		for j := range 8 {
			raw[8*i+j] = byte(word >> (8 * j))
		}
	}
	raw[6], raw[8] = raw[6]&0x0f|0x40, raw[8]&0x3f|0x80

	text := make([]byte, 0, 36)
	for i, end := range [...]int{4, 6, 8, 10, 16} {
		begin := [...]int{0, 4, 6, 8, 10}[i]
		if i > 0 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, raw[begin:end])
	}
	return string(text)
}

func pick[T any](r *recorder, from []T) T { return from[r.below(len(from))] }

func instant(moment int64) string {
	return time.Unix(moment, 0).UTC().Format("2006-01-02T15:04:05.000Z07:00")
}

func date(moment int64) string { return time.Unix(moment, 0).UTC().Format(time.DateOnly) }

// decimal writes value / 10^places, with all its places.
func decimal(value, places int) string {
	text := strconv.Itoa(value)
	if places == 0 {
		return text
	}
	for len(text) <= places {
		text = "0" + text
	}
	point := len(text) - places
	return text[:point] + "." + text[point:]
}

package httpadapter

import "time"

// The bounds of what is remembered of recent requests: from sweepRecent on, what is
// over is swept out, at most once a second; beyond maxRecent, some MiB, nothing new is
// remembered.
const (
	sweepRecent   = 1000
	maxRecent     = 10_000
	sweepInterval = time.Second
)

// recent remembers values of bounded number until they are over. What is over says
// nothing: what is not there is as good. It is not safe for concurrent use.
type recent[K comparable, V interface{ over(now time.Time) bool }] struct {
	values  map[K]V
	sweptAt time.Time
}

func newRecent[K comparable, V interface{ over(now time.Time) bool }]() recent[K, V] {
	return recent[K, V]{values: map[K]V{}}
}

// put remembers a value, and reports whether there was room for it.
func (m *recent[K, V]) put(now time.Time, key K, value V) bool {
	if _, known := m.values[key]; !known && !m.room(now) {
		return false
	}
	m.values[key] = value
	return true
}

// room reports whether there is some for one more key.
func (m *recent[K, V]) room(now time.Time) bool {
	if len(m.values) >= sweepRecent && now.Sub(m.sweptAt) >= sweepInterval {
		m.sweptAt = now
		for key, value := range m.values {
			if value.over(now) {
				delete(m.values, key)
			}
		}
	}
	return len(m.values) < maxRecent
}

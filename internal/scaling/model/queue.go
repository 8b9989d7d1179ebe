package model

import "container/heap"

// clock runs what is due in the order of virtual time; what is due at one time in
// the order in which it was asked for.
type clock struct {
	now    float64
	seq    int
	events events
}

type event struct {
	at  float64
	seq int
	do  func()
}

type events []event

// Len, Less, Swap, Push and Pop implement [heap.Interface].
func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

// Push implements [heap.Interface].
func (e *events) Push(x any) { *e = append(*e, x.(event)) }

// Pop implements [heap.Interface].
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	(*e)[len(*e)-1] = event{}
	*e = (*e)[:len(*e)-1]
	return last
}

// after has do run so many seconds from now.
func (c *clock) after(seconds float64, do func()) {
	c.seq++
	heap.Push(&c.events, event{c.now + seconds, c.seq, do})
}

// step runs what is next, and reports whether there was anything.
func (c *clock) step() bool {
	if len(c.events) == 0 {
		return false
	}
	next := heap.Pop(&c.events).(event)
	c.now = next.at
	next.do()
	return true
}

// station is a number of equal servers with one queue, first come, first served.
type station struct {
	clock   *clock
	servers int
	busy    int
	queue   []visit
	head    int
	used    float64 // seconds of servers
}

type visit struct {
	seconds float64
	then    func()
}

// serve has then run once a server has worked for so many seconds. A station that is
// nil is no limit.
func (s *station) serve(seconds float64, then func()) {
	switch {
	case s == nil || seconds <= 0:
		then()
	case s.busy < s.servers:
		s.begin(visit{seconds, then})
	default:
		s.queue = append(s.queue, visit{seconds, then})
	}
}

func (s *station) begin(v visit) {
	s.busy++
	s.clock.after(v.seconds, func() {
		s.busy--
		s.used += v.seconds
		if s.head < len(s.queue) {
			next := s.queue[s.head]
			s.queue[s.head] = visit{}
			s.head++
			if s.head == len(s.queue) {
				s.queue, s.head = s.queue[:0], 0
			}
			s.begin(next)
		}
		v.then()
	})
}

// share returns which part of the servers' time was used.
func (s *station) share(seconds float64) float64 {
	if s == nil || seconds <= 0 {
		return 0
	}
	return s.used / seconds / float64(s.servers)
}

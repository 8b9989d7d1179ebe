//go:build unix

package main

import (
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// counters count what has happened.
type counters struct {
	jobs, completed, deleted, cleared, expired, failed, lost atomic.Int64
	resources, bytes, writes, deletions                      atomic.Int64
	polls, spied, visits, again, chains, links               atomic.Int64
	starts, kills, terminates, freezes                       atomic.Int64
	cuts, broken, unanswered, busy                           atomic.Int64
	violations                                               atomic.Int64
}

// reporter prints what happens, whole lines at a time.
type reporter struct {
	mu       sync.Mutex
	out      io.Writer
	warnings map[string]int // messages of the servers' logs
}

// violate reports something that must not be.
func (s *soak) violate(format string, args ...any) {
	s.count.violations.Add(1)
	s.print("VIOLATION (seed %d, after %v): %s", s.seed, s.age(), fmt.Sprintf(format, args...))
}

func (s *soak) age() time.Duration { return time.Since(s.began).Round(time.Second) }

func (s *soak) print(format string, args ...any) {
	s.report.mu.Lock()
	defer s.report.mu.Unlock()
	fmt.Fprintf(s.report.out, format+"\n", args...)
}

func (s *soak) printProgress() {
	c := &s.count
	s.print("%v: %d jobs (%d completed, %d deleted, %d expired), %d resources, %d MB, %d writes, %d polls, "+
		"%d kills, %d terminates, %d freezes, %d cuts, %d links, %d violations",
		s.age(), c.jobs.Load(), c.completed.Load(), c.deleted.Load(), c.expired.Load(), c.resources.Load(),
		c.bytes.Load()>>20, c.writes.Load(), c.polls.Load(), c.kills.Load(), c.terminates.Load(), c.freezes.Load(),
		c.cuts.Load(), c.links.Load(), c.violations.Load())
}

func (s *soak) printSummary() {
	c := &s.count
	rows := []struct {
		name  string
		value *atomic.Int64
	}{
		{"jobs", &c.jobs}, {"  completed", &c.completed}, {"  deleted while they ran", &c.deleted},
		{"  deleted afterwards", &c.cleared},
		{"  expired before they were checked, or later", &c.expired}, {"  failed", &c.failed},
		{"kick-offs without an answer", &c.lost},
		{"resources checked", &c.resources}, {"bytes checked", &c.bytes}, {"files downloaded again", &c.again},
		{"incremental chains", &c.chains}, {"  links", &c.links},
		{"writes", &c.writes}, {"  deletions", &c.deletions},
		{"polls", &c.polls}, {"requests by others", &c.spied}, {"visits to what is gone", &c.visits},
		{"server starts", &c.starts}, {"  kills", &c.kills}, {"  terminates", &c.terminates}, {"  freezes", &c.freezes},
		{"downloads cut by the client", &c.cuts}, {"downloads cut by a fault", &c.broken},
		{"requests without an answer", &c.unanswered}, {"answers 503", &c.busy},
	}
	s.print("\nafter %v with seed %d:", s.age(), s.seed)
	for _, row := range rows {
		s.print("  %-46s %d", row.name, row.value.Load())
	}
	for _, message := range slices.Sorted(maps.Keys(s.report.warnings)) {
		s.print("  %-46s %d", "log: "+message, s.report.warnings[message])
	}
	s.print("  %-46s %d", "violations", c.violations.Load())
}

var logLine = regexp.MustCompile(`level=(WARN|ERROR) msg=("(?:[^"\\]|\\.)*"|\S+)`)

// readLog looks for what must not be in the log of a server that has ended, and
// counts its warnings.
func (s *soak) readLog(log string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, marker) || slices.ContainsFunc(s.callers, func(c client) bool {
			return strings.Contains(line, c.token)
		}) {
			s.violate("a log has content or a token: %s", line)
		}
		found := logLine.FindStringSubmatch(line)
		switch {
		case found != nil && found[1] == "ERROR", strings.HasPrefix(line, "panic:"), strings.HasPrefix(line, "fatal error:"):
			s.violate("logged: %s", line)
		case found != nil:
			s.noteWarning(found[1]+" "+found[2], line)
		}
	}
}

// noteWarning counts a message, and shows the first line that has it.
func (s *soak) noteWarning(message, line string) {
	s.report.mu.Lock()
	s.report.warnings[message]++
	first := s.report.warnings[message] == 1
	s.report.mu.Unlock()
	if first {
		s.print("%v: a server has logged: %s", s.age(), line[:min(len(line), 600)])
	}
}

//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport/internal/fleet"
)

// seat is the place of one node after the other.
type seat struct {
	index int
	args  []string

	mu   sync.Mutex
	node *fleet.Node // nil while there is none that takes requests
}

func (s *seat) take(n *fleet.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = n
}

// leave takes the node away from the clients, and returns it; nil if there is none.
func (s *seat) leave() *fleet.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.node
	s.node = nil
	return n
}

func (s *seat) peek() *fleet.Node {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.node
}

// startSlow starts the nodes, slowed down, so that there is always something on its way.
func (r *rig) startSlow(ctx context.Context, further func(i int) []string) error {
	return r.startNodes(ctx, r.nodes, r.workers, r.partSize(), func(i int) []string {
		args := []string{"-rate-per-worker", fmt.Sprint(r.rate)}
		if further != nil {
			args = append(args, further(i)...)
		}
		return args
	})
}

// startNodes starts a node in each of n seats. Each of them may have flags of its own.
func (r *rig) startNodes(ctx context.Context, n, workers, partSize int, further func(i int) []string) error {
	r.seats = nil
	for i := range n {
		args := append(r.flags(partSize), "-workers", strconv.Itoa(workers))
		if further != nil {
			args = append(args, further(i)...)
		}
		s := &seat{index: i, args: args}
		r.seats = append(r.seats, s)
		if err := r.startIn(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) startIn(ctx context.Context, s *seat) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTime)
	defer cancel()
	n, err := r.fleet.StartNode(ctx, s.args...)
	if err != nil {
		return fmt.Errorf("node %d: %w", s.index, err)
	}
	s.take(n)
	return nil
}

// stopAll ends all nodes in the orderly way.
func (r *rig) stopAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, s := range r.seats {
		n := s.leave()
		if n == nil {
			continue
		}
		if err := n.Terminate(ctx); err != nil {
			r.violate("node %d: %v\n%s", s.index, err, tail(n.Log()))
		}
		r.readLog(n)
	}
}

func tail(log string) string { return log[max(0, len(log)-2000):] }

// readLog looks through the log of a node that has ended: trouble is a warning, and
// what nobody has thought of an error.
func (r *rig) readLog(n *fleet.Node) {
	log := n.Log()
	if r.keepLogs != "" {
		file := filepath.Join(r.keepLogs, fmt.Sprintf("%s-%s.log", r.mode.name, n.ID))
		if err := os.WriteFile(file, []byte(log), 0o600); err != nil {
			r.say("keep log: %v", err)
		}
	}
	for line := range strings.Lines(log) {
		switch {
		case strings.Contains(line, "level=ERROR") && !r.mode.tolerant, strings.Contains(line, "panic"),
			strings.Contains(line, "deadlock"): // which take PostgreSQL a second to end
			r.violate("in the log of %s: %s", n.ID, strings.TrimSpace(line))
		case strings.Contains(line, "level=WARN"):
			r.warned.Add(1)
		}
	}
}

// any returns what gives the base URL of a random node that takes requests; empty if
// there is none now.
func (r *rig) any(rng *rand.Rand) func() string {
	return func() string {
		first := rng.IntN(len(r.seats))
		for i := range r.seats {
			if n := r.seats[(first+i)%len(r.seats)].peek(); n != nil {
				return n.BaseURL
			}
		}
		return ""
	}
}

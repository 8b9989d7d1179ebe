//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

const (
	lease    = time.Second
	shortTTL = 20 * time.Second
	longTTL  = 24 * time.Hour
)

// slot is the place of one server process after the other.
type slot struct {
	index int
	// ambush is told of a request that matters, to this server.
	ambush chan struct{}

	mu      sync.Mutex
	process *serverproc.Process // nil while there is none
	ready   bool                // false also while it is frozen or about to end
	faults  int                 // how often it was disturbed
}

// cluster are the servers on one store.
type cluster struct {
	soak  *soak
	slots []*slot

	mu        sync.Mutex
	disturbed time.Time // when a fault has last begun or ended
}

// server is a process at a moment.
type server struct {
	*slot
	base   string
	faults int
}

// args are different each time: who goes on with a job need not be set up as
// the one who began it.
func (c *cluster) args(rng *rand.Rand) []string {
	ttl := longTTL
	if rng.IntN(4) == 0 {
		ttl = shortTTL
	}
	args := []string{
		"-dir", c.soak.dir, "-lease", lease.String(), "-poll-limit", "-1", "-ttl", ttl.String(),
		"-max-file-resources", strconv.Itoa([]int{50, 1000, 5000}[rng.IntN(3)]),
		"-rate", strconv.Itoa([]int{0, 700, 2000}[rng.IntN(3)]),
	}
	if c.soak.dsn != "" {
		args = append(args, "-db", c.soak.dsn)
	}
	for _, client := range c.soak.callers {
		args = append(args, "-token", fmt.Sprintf("%s=%s@%s", client.token, client.name, client.tenant))
	}
	return args
}

// start fills a slot with a new process.
func (c *cluster) start(ctx context.Context, rng *rand.Rand, s *slot) error {
	// The process outlives ctx: it is for stop to end it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.soak.binary, c.args(rng)...)
	// An interrupt at the keyboard is for this process alone.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	p, err := serverproc.Start(ctx, cmd)
	if err != nil {
		return fmt.Errorf("server %d: %w", s.index, err)
	}
	s.mu.Lock()
	s.process, s.ready = p, true
	s.mu.Unlock()
	c.note()
	c.soak.count.starts.Add(1)
	return nil
}

// note notes that a fault has begun or ended.
func (c *cluster) note() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.disturbed = time.Now()
}

// calm reports whether there was no fault for a while, so that nothing excuses
// trouble.
func (c *cluster) calm() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.disturbed) > 15*time.Second
}

// disturb says that what happens next to the slot's process is a fault, and
// returns the process, or nil if there is none.
func (c *cluster) disturb(s *slot) *serverproc.Process {
	s.mu.Lock()
	s.ready = false
	s.faults++
	p := s.process
	s.mu.Unlock()
	c.note()
	return p
}

// was reports whether the process was disturbed since.
func (s *server) wasDisturbed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slot.faults != s.faults
}

// ready returns all servers that take requests.
func (c *cluster) ready() []*server {
	var found []*server
	for _, s := range c.slots {
		s.mu.Lock()
		if s.ready {
			found = append(found, &server{s, s.process.BaseURL, s.faults})
		}
		s.mu.Unlock()
	}
	return found
}

// pick returns one of the servers, as soon as there is one.
func (c *cluster) pick(ctx context.Context, rng *rand.Rand) (*server, error) {
	for {
		if found := c.ready(); len(found) > 0 {
			return found[rng.IntN(len(found))], nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return nil, ctx.Err()
		}
	}
}

// ended is closed when the slot's process has ended. It is nil if there is none.
func (s *slot) ended() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	return s.process.Ended()
}

// vacate takes the process that has ended out of its slot and reads its log.
func (c *cluster) vacate(p *serverproc.Process, s *slot) {
	s.mu.Lock()
	s.process = nil
	s.mu.Unlock()
	c.soak.readLog(p.Log())
}

// restart is start, whose failure is a violation.
func (c *cluster) restart(ctx context.Context, rng *rand.Rand, s *slot) {
	if err := c.start(context.WithoutCancel(ctx), rng, s); err != nil {
		c.soak.violate("restart: %v", err)
	}
}

// stop ends all processes in the orderly way.
func (c *cluster) stop(ctx context.Context) {
	for _, s := range c.slots {
		if p := c.disturb(s); p != nil {
			c.terminate(ctx, p, s)
		}
	}
}

func tail(log string) string {
	return log[max(0, len(log)-2000):]
}

func newCluster(s *soak, servers int) *cluster {
	c := &cluster{soak: s}
	for i := range servers {
		c.slots = append(c.slots, &slot{index: i, ambush: make(chan struct{})})
	}
	return c
}

// kinds are all types of resources that there are.
func kinds() []string {
	return slices.Sorted(slices.Values([]string{"Patient", "Organization", "Encounter", "Observation", "Group"}))
}

// killRest ends what stop has not, for one who leaves early.
func (c *cluster) killRest() {
	for _, s := range c.slots {
		s.mu.Lock()
		if s.process != nil {
			s.process.Kill()
		}
		s.mu.Unlock()
	}
}

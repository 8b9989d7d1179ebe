//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// options say what to run.
type options struct {
	duration time.Duration
	dsn      string // of PostgreSQL; empty means SQLite
	dir      string
	servers  int
	clients  int
	seed     uint64
	// size is how many resources a tenant has, about.
	size int
	// writePause is the mean pause between two changes of a writer, faultPause the
	// longest between two faults.
	writePause, faultPause time.Duration
	output                 io.Writer
}

// soak is a run.
type soak struct {
	options
	binary  string
	callers []client
	began   time.Time
	closed  chan struct{} // when no new jobs are to begin

	world     *world
	store     *store
	cluster   *cluster
	http      *http.Client
	graveyard graveyard
	kept      kept
	running   sync.Map // ids of jobs to when they were kicked off
	count     counters
	report    reporter
}

// tenants are those whose data there is.
func tenants() []string { return []string{"north", "south", "east"} }

const writers = 3

// run runs and returns how many violations there were.
func run(ctx context.Context, o options) (violations int64, err error) {
	s := &soak{
		options: o, binary: filepath.Join(o.dir, "server"), began: time.Now(), closed: make(chan struct{}),
		world:  newWorld(shape{patients: max(o.size/10, protectedPatients)}),
		http:   newHTTPClient(o.clients),
		report: reporter{out: o.output, warnings: map[string]int{}},
	}
	defer s.http.CloseIdleConnections()
	for i := range o.clients {
		s.callers = append(s.callers, client{
			name: fmt.Sprintf("client%d", i), tenant: tenants()[i%len(tenants())], token: fmt.Sprintf("s3cret-%d-%x", i, o.seed),
		})
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return 0, err
	}
	if err := serverproc.Build(ctx, s.binary); err != nil {
		return 0, err
	}
	if s.store, err = openStore(ctx, o); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.store.pool.Close()) }()
	var refs []ref
	for _, tenant := range tenants() {
		refs = append(refs, population(tenant, o.size)...)
	}
	if err := s.fill(ctx, refs); err != nil {
		return 0, fmt.Errorf("store resources: %w", err)
	}
	return s.serve(ctx, refs)
}

// serve starts the servers, lets everybody loose on them, and stops them.
func (s *soak) serve(ctx context.Context, refs []ref) (int64, error) {
	s.cluster = newCluster(s, s.servers)
	defer s.cluster.killRest()
	s.print("soak for %v with seed %d: %d servers, %d clients", s.duration, s.seed, s.servers, len(s.callers))
	rng := s.random("servers")
	for _, slot := range s.cluster.slots {
		if err := s.cluster.start(ctx, rng, slot); err != nil {
			return 0, err
		}
	}
	s.live(ctx, refs)
	// A connection that was made in advance and never used would delay the end.
	s.http.CloseIdleConnections()
	s.cluster.stop(context.WithoutCancel(ctx))
	s.printSummary()
	return s.count.violations.Load(), ctx.Err()
}

// graceTime bounds how long it may take to end what has begun, without faults.
const graceTime = stuckAfter + time.Minute

// live is the time between the first start of a server and the last stop.
func (s *soak) live(ctx context.Context, refs []ref) {
	everything, end := context.WithCancel(ctx)
	defer end()
	faulty, calmDown := context.WithTimeout(everything, s.duration)
	defer calmDown()
	var background, faults, clients sync.WaitGroup
	for i := range writers {
		var own []ref
		for n, r := range refs {
			if n%writers == i {
				own = append(own, r)
			}
		}
		background.Go(func() { s.write(everything, s.random(fmt.Sprint("writer", i)), own) })
	}
	background.Go(func() { s.haunt(everything, s.random("haunt")) })
	background.Go(func() { s.keepBooks(everything) })
	for i, slot := range s.cluster.slots {
		faults.Go(func() { s.cluster.faults(faulty, s.random(fmt.Sprint("faults", i)), slot) })
	}
	for i, c := range s.callers {
		clients.Go(func() { s.behave(everything, s.random(fmt.Sprint("client", i)), c) })
	}

	<-faulty.Done()
	close(s.closed)
	faults.Wait()
	s.print("%v: no more faults, no new jobs", s.age())
	watchdog := time.AfterFunc(graceTime, func() {
		s.running.Range(func(id, kicked any) bool {
			s.violate("job %v of %v does not end", id, kicked)
			return true
		})
		end()
	})
	defer watchdog.Stop()
	clients.Wait()
	s.print("%v: all jobs have ended", s.age())
	s.clear(everything, s.random("clear"))
	s.print("%v: all jobs are deleted", s.age())
	end()
	background.Wait()
}

func (s *soak) closing() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

// keepBooks prints what has happened so far, and forgets what is over.
func (s *soak) keepBooks(ctx context.Context) {
	for pause(ctx, 5*time.Second) {
		s.printProgress()
		oldest := time.Now()
		s.running.Range(func(_, kicked any) bool {
			if t := kicked.(time.Time); t.Before(oldest) {
				oldest = t
			}
			return true
		})
		s.world.forget(oldest.Add(-5 * time.Minute).UnixMicro())
	}
}

// random returns what decides for one of those who are at work.
func (s *soak) random(who string) *rand.Rand {
	h := fnv.New64a()
	_, _ = io.WriteString(h, who) // never fails
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

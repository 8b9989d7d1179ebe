//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/bulkexport/bulkexport/internal/bulkclient"
	"github.com/bulkexport/bulkexport/internal/fleet"
	"github.com/bulkexport/bulkexport/internal/serverproc"
	"github.com/bulkexport/bulkexport/store/gormstore"
)

// rig is what a mode works on: servers, data, a client and what was found.
type rig struct {
	options

	mode   mode
	dir    string
	fleet  *fleet.Fleet
	client *bulkclient.Client
	store  *gormstore.Store // that of the nodes, to look at
	seats  []*seat
	want   map[string]bulkclient.Content // of an undisturbed export, by public name
	began  time.Time

	table
	violations, warned  atomic.Int64
	attempts, partsDone atomic.Int64
}

// startTime bounds a start, the data included.
const startTime = 15 * time.Minute

// answerTime is after what time a client gives up and asks again.
const answerTime = 2 * time.Minute

// newRig starts the servers that are shared, and makes the export that all others
// are compared with. There are no nodes yet.
func newRig(ctx context.Context, o options, m mode) (r *rig, err error) {
	r = &rig{options: o, mode: m, client: bulkclient.New(answerTime), began: time.Now()}
	// Not in a folder of a test, which PostgreSQL's user cannot enter.
	if r.dir, err = os.MkdirTemp("", "cluster"); err != nil {
		return nil, err
	}
	if err = os.Chmod(r.dir, 0o711); err == nil { //nolint:gosec // PostgreSQL's user must get in
		r.fleet, err = fleet.Start(ctx, fleet.Config{Dir: r.dir, Durable: m.durable, Files: o.files})
	}
	if err == nil {
		err = r.openStore()
	}
	if err == nil {
		err = r.makeReference(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *rig) openStore() error {
	db, err := gorm.Open(postgres.Open(r.fleet.DSN()), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	r.store, err = gormstore.New(db)
	return err
}

// close ends everything.
func (r *rig) close() error {
	for _, s := range r.seats {
		if n := s.leave(); n != nil {
			n.Kill()
		}
	}
	r.client.Close()
	var err error
	if r.fleet != nil {
		err = r.fleet.Stop()
	}
	return errors.Join(err, os.RemoveAll(r.dir))
}

// mostShown is how many violations are printed.
const mostShown = 20

// violate notes something that must not be.
func (r *rig) violate(format string, args ...any) {
	if r.violations.Add(1) <= mostShown {
		r.say("VIOLATION: "+format, args...)
	}
}

// say prints a line, with the time.
func (r *rig) say(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	_, _ = fmt.Fprintf(r.output, "%s %5.1fs  %s\n", r.mode.name, time.Since(r.began).Seconds(), line)
}

// random returns what decides for one of those who are at work.
func (r *rig) random(who uint64) *rand.Rand { return rand.New(rand.NewPCG(r.seed, who)) }

// perPatient is about how many resources a patient has.
const perPatient = 47

func (r *rig) resources() int { return r.patients * perPatient }

// partSize makes some 60 parts of an export.
func (r *rig) partSize() int { return max(r.resources()/60, 10) }

// flags are those that all servers have in common.
func (r *rig) flags(partSize int) []string {
	return []string{
		"-poll-limit", "-1", "-max-file-resources", strconv.Itoa(partSize),
		"-lease", r.lease.String(), "-clean-up", r.cleanUp.String(),
	}
}

// single returns the flags of a server without River, on a folder.
func (r *rig) single(partSize int) []string {
	return append(r.flags(partSize), "-db", r.fleet.DSN(), "-dir", r.dir+"/single", "-workers", strconv.Itoa(r.workers))
}

// makeReference loads the data and exports it, by one server that nobody disturbs.
func (r *rig) makeReference(ctx context.Context) error {
	starting, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	args := append(r.single(r.partSize()), "-generate", strconv.Itoa(r.patients))
	p, err := serverproc.Start(starting, r.fleet.Command(ctx, args...))
	if err != nil {
		return err
	}
	defer p.Kill()
	at := func() string { return p.BaseURL }
	job, err := r.kickOff(ctx, at)
	if err != nil {
		return err
	}
	if r.want, err = r.collect(ctx, job, at); err != nil {
		return err
	}
	if err := r.remove(ctx, job, at); err != nil {
		return err
	}
	if err := r.awaitForgotten(ctx, job); err != nil {
		return err
	}
	var lines int64
	for _, content := range r.want {
		lines += content.Lines
	}
	r.say("%d resources in %d files, exported by one process", lines, len(r.want))
	return p.Terminate(ctx)
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// about returns a time around a mean.
func about(rng *rand.Rand, mean time.Duration) time.Duration {
	return mean/2 + time.Duration(rng.Int64N(int64(mean)))
}

// table are the figures of a mode.
type table struct {
	mu      sync.Mutex
	rows    [][2]string
	samples map[string][]float64
}

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/fleet"
)

// campaign makes the exports of a mode while disturb does what it does, until its
// context ends; then it leaves all nodes running. In the end nothing may be left over.
func (r *rig) campaign(ctx context.Context, disturb func(ctx context.Context)) error {
	disturbed, calmDown := context.WithCancel(ctx)
	defer calmDown()
	var disturber, clients sync.WaitGroup
	disturber.Go(func() { disturb(disturbed) })
	var begun, completed atomic.Int64
	for i := range r.atOnce {
		at := r.any(r.random(uint64(i)))
		clients.Go(func() {
			for begun.Add(1) <= int64(r.exports) && ctx.Err() == nil {
				if err := r.export(ctx, at); err != nil && ctx.Err() == nil {
					r.violate("%v", err)
					continue
				}
				completed.Add(1)
			}
		})
	}
	clients.Wait()
	calmDown()
	disturber.Wait()
	r.say("%d exports are complete", completed.Load())
	r.report("exports completed and the same", "%d of %d", completed.Load(), r.exports)
	return errors.Join(ctx.Err(), r.inspect(ctx))
}

// inspect looks at what is left: in the store, and in the bucket.
func (r *rig) inspect(ctx context.Context) error {
	jobs, err := r.awaitEnded(ctx)
	if err != nil {
		return err
	}
	named := map[string]bool{}
	for _, job := range jobs {
		if job.State != bulkexport.JobCompleted {
			r.violate("job %s is %s: %s", job.ID, job.State, job.FailureReason)
		}
		parts, err := r.store.Parts(ctx, job.ID)
		if err != nil {
			return err
		}
		for _, file := range namedBy(job, parts) {
			if named[file] {
				r.violate("file %s is named twice", file)
			}
			named[file] = true
		}
		r.countAttempts(parts)
	}
	r.awaitOrphans(ctx, named)
	return r.clear(ctx, jobs)
}

func namedBy(job bulkexport.Job, parts []bulkexport.Part) (files []string) {
	for _, p := range parts {
		for _, f := range p.Files {
			files = append(files, job.ID+"/"+f.Name)
		}
	}
	return files
}

func (r *rig) countAttempts(parts []bulkexport.Part) {
	for _, p := range parts {
		r.partsDone.Add(1)
		r.attempts.Add(int64(p.Attempt))
	}
}

// awaitEnded waits until all jobs have ended, also those whose kick-off no client has
// heard the answer to.
func (r *rig) awaitEnded(ctx context.Context) ([]bulkexport.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		jobs, err := r.store.Jobs(ctx, bulkexport.JobFilter{})
		running := slices.ContainsFunc(jobs, func(j bulkexport.Job) bool { return j.EndedAt.IsZero() })
		if err == nil && !running {
			return jobs, nil
		}
		if !pause(ctx, pollPause) {
			return nil, fmt.Errorf("jobs do not end: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// awaitOrphans waits until the bucket has what the exports name, and nothing else.
func (r *rig) awaitOrphans(ctx context.Context, named map[string]bool) {
	began := time.Now()
	limit := 2*r.cleanUp + r.lease + 5*time.Second
	for first := true; ; first = false {
		objects, err := r.fleet.Objects()
		if err != nil {
			r.violate("list the bucket: %v", err)
			return
		}
		orphans, missing := difference(objects, named)
		if first {
			r.report("orphans before the clean-up", "%d of %d objects", len(orphans), len(objects))
		}
		switch {
		case missing > 0:
			r.violate("%d files are named and not in the bucket", missing)
			return
		case len(orphans) == 0:
			r.report("orphans after it", "0, %.1f s later", time.Since(began).Seconds())
			return
		case time.Since(began) > limit:
			r.violate("%d orphans after %v: %v", len(orphans), limit, orphans[:min(len(orphans), 5)])
			return
		}
		if !pause(ctx, pollPause) {
			return
		}
	}
}

func difference(objects []string, named map[string]bool) (orphans []string, missing int) {
	found := 0
	for _, key := range objects {
		if named[key] {
			found++
		} else {
			orphans = append(orphans, key)
		}
	}
	return orphans, len(named) - found
}

// clear deletes all exports and waits until the bucket is empty.
func (r *rig) clear(ctx context.Context, jobs []bulkexport.Job) error {
	at := r.any(r.random(99))
	for _, job := range jobs {
		if err := r.remove(ctx, "/bulk-export/"+job.ID, at); err != nil {
			return err
		}
	}
	began := time.Now()
	if !r.awaitEmpty(ctx, patience) {
		r.violate("the bucket is not empty")
	}
	r.report("bucket empty after the last DELETE", "%.1f s", time.Since(began).Seconds())
	for _, job := range jobs {
		if err := r.awaitForgotten(ctx, job.ID); err != nil {
			return err
		}
	}
	r.awaitIdle(ctx)
	uploads, err := r.fleet.Uploads()
	r.report("unfinished uploads left to the lifecycle rule", "%d", len(uploads))
	r.reportAttempts()
	return err
}

// awaitIdle waits until River has nothing that seems to be performed by a node that
// lives: it would take the room of what is. Rows of the dead do not count there, and
// stay for an hour.
func (r *rig) awaitIdle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, idleLimit)
	defer cancel()
	for {
		held, err := r.fleet.Held(ctx)
		held = slices.DeleteFunc(held, func(h fleet.Held) bool { return r.seatOf(h.Node) == nil })
		if err == nil && len(held) == 0 {
			return
		}
		if !pause(ctx, pollPause) {
			r.violate("%d parts of exports that are gone are still with River, %v", len(held), err)
			return
		}
	}
}

// idleLimit is more than a node takes to be taken for dead.
const idleLimit = 20 * time.Second

func (r *rig) awaitEmpty(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		objects, err := r.fleet.Objects()
		if err == nil && len(objects) == 0 {
			return true
		}
		if !pause(ctx, 10*time.Millisecond) {
			return false
		}
	}
}

func (r *rig) reportAttempts() {
	r.report("attempts at parts", "%d for %d parts", r.attempts.Load(), r.partsDone.Load())
	var redone float64
	for _, n := range r.values(redoneName) {
		redone += n
	}
	r.report("resources redone", "%.0f of %d (%.2f %%)", redone, r.exports*r.lines(),
		100*redone/float64(r.exports*r.lines()))
}

func (r *rig) lines() int {
	var n int64
	for _, content := range r.want {
		n += content.Lines
	}
	return int(n)
}

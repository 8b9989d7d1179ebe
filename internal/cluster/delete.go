//go:build unix

package main

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/bulkclient"
)

// stopLimit is how soon all work on a deleted export must have stopped.
const stopLimit = time.Second

// deletes is the mode delete: on the first node, while the others write. The workers
// are slow, so that there is always something on its way.
func deletes(ctx context.Context, r *rig) error {
	if err := r.startSlow(ctx, nil); err != nil {
		return err
	}
	for i := range r.exports {
		if err := r.deleteOnce(ctx, i); err != nil {
			return err
		}
	}
	uploads, err := r.fleet.Uploads()
	r.report("exports deleted", "%d", r.exports)
	r.report("pieces of unfinished uploads left", "%d", len(uploads))
	return err
}

func (r *rig) deleteOnce(ctx context.Context, i int) error {
	at := r.any(r.random(uint64(2000 + i)))
	job, err := r.kickOff(ctx, at)
	if err != nil {
		return err
	}
	if err := r.awaitWriting(ctx, path.Base(job), 1+i%20); err != nil {
		return err
	}
	first := r.seats[0].peek().BaseURL
	before, err := r.sizes()
	if err != nil {
		return err
	}
	asked := time.Now()
	answer, err := r.client.Do(ctx, http.MethodDelete, first+job)
	if err != nil {
		return err
	}
	if answer.Code != http.StatusNoContent {
		r.violate("DELETE: %d %s", answer.Code, answer.Body)
	}
	deleted := time.Now()
	r.sample("DELETE until its answer (s)", deleted.Sub(asked).Seconds())
	r.mustBeGone(ctx, job)
	return r.watchEnd(ctx, job, deleted, before)
}

var errTooFast = errors.New("the export is complete before it can be deleted; take a lower -rate")

// awaitWriting waits until there are some objects, and each node but the first is at a
// part.
func (r *rig) awaitWriting(ctx context.Context, job string, objects int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		found, err := r.fleet.Objects()
		if err != nil {
			return err
		}
		held, err := r.fleet.Held(ctx)
		if err != nil {
			return err
		}
		busy := map[string]bool{}
		for _, h := range held {
			busy[h.Node] = busy[h.Node] || h.Job == job
		}
		delete(busy, r.seats[0].peek().ID)
		record, err := r.store.Job(ctx, job)
		if err != nil || !record.EndedAt.IsZero() {
			return errors.Join(err, errTooFast)
		}
		if len(found) >= objects && len(busy) == len(r.seats)-1 {
			return nil
		}
		if !pause(ctx, 10*time.Millisecond) {
			return errors.New("the nodes do not begin to write")
		}
	}
}

// mustBeGone asks all nodes at once.
func (r *rig) mustBeGone(ctx context.Context, job string) {
	var asking sync.WaitGroup
	for _, s := range r.seats {
		asking.Go(func() {
			_, _, err := r.client.Status(ctx, s.peek().BaseURL, job)
			var refused *bulkclient.StatusError
			if !errors.As(err, &refused) || refused.Code != http.StatusNotFound {
				r.violate("node %d knows a deleted export: %v", s.index, err)
			}
		})
	}
	asking.Wait()
}

// sizes returns how many objects and pieces of uploads there are, as a set.
func (r *rig) sizes() (map[string]bool, error) {
	objects, err := r.fleet.Objects()
	uploads, errUploads := r.fleet.Uploads()
	found := map[string]bool{}
	for _, key := range slices.Concat(objects, uploads) {
		found[key] = true
	}
	return found, errors.Join(err, errUploads)
}

// watchEnd notes when something new was seen for the last time, in the bucket or in
// the store, until the bucket is empty and the record gone.
func (r *rig) watchEnd(ctx context.Context, job string, deleted time.Time, seen map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lastWrite, emptied := deleted, time.Time{}
	late := 0
	claims := r.newClaims(path.Base(job))
	lastClaim := deleted
	for {
		now, err := r.sizes()
		if err != nil {
			return err
		}
		fresh := maps.Clone(now)
		maps.DeleteFunc(fresh, func(key string, _ bool) bool { return seen[key] })
		if len(fresh) > 0 {
			lastWrite = time.Now()
			late += len(fresh)
			maps.Copy(seen, fresh)
		}
		if len(now) > 0 {
			emptied = time.Time{}
		} else if emptied.IsZero() {
			emptied = time.Now()
		}
		gone, newer, err := claims.look(ctx)
		if err != nil {
			return err
		}
		if newer {
			lastClaim = time.Now()
		}
		if gone && !emptied.IsZero() && time.Since(deleted) > 2*stopLimit {
			break
		}
		if !pause(ctx, 5*time.Millisecond) {
			return errors.New("a deleted export does not go")
		}
	}
	r.judgeEnd(deleted, lastWrite, lastClaim, emptied, late)
	return nil
}

func (r *rig) judgeEnd(deleted, lastWrite, lastClaim, emptied time.Time, late int) {
	r.sample("DELETE to the last new object (s)", lastWrite.Sub(deleted).Seconds())
	r.sample("new objects after DELETE", float64(late))
	r.sample("DELETE to the last claim or commit (s)", lastClaim.Sub(deleted).Seconds())
	r.sample("DELETE to an empty bucket (s)", emptied.Sub(deleted).Seconds())
	if last := max(lastWrite.Sub(deleted), lastClaim.Sub(deleted)); last > stopLimit {
		r.violate("work went on for %v after DELETE", last)
	}
	// The leader sweeps each third of the lease, and not more often than each second.
	if took := emptied.Sub(deleted); took > stopLimit+max(r.lease/3, time.Second) {
		r.violate("the bucket was empty only after %v", took)
	}
}

// claims sees attempts and files come.
type claims struct {
	r     *rig
	job   string
	known int // attempts and files
}

func (r *rig) newClaims(job string) *claims { return &claims{r: r, job: job, known: -1} }

// look reports whether the record of the job is gone, and whether there are more
// attempts or files than at the last look.
func (c *claims) look(ctx context.Context) (gone, newer bool, err error) {
	_, err = c.r.store.Job(ctx, c.job)
	if errors.Is(err, bulkexport.ErrJobNotFound) {
		return true, false, nil
	}
	if err != nil {
		return false, false, err
	}
	parts, err := c.r.store.Parts(ctx, c.job)
	if errors.Is(err, bulkexport.ErrJobNotFound) {
		return true, false, nil
	}
	n := 0
	for _, p := range parts {
		n += p.Attempt + len(p.Files)
	}
	newer = c.known >= 0 && n > c.known
	c.known = max(c.known, n)
	return false, newer, err
}

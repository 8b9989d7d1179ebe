//go:build unix

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// maxFaults is how many faults of a job are told one by one.
const maxFaults = 5

func (j *job) report(about string, faults []string) {
	for i, fault := range faults {
		if i == maxFaults {
			j.violate("%s: %d more", about, len(faults)-i)
			return
		}
		j.violate("%s: %s", about, fault)
	}
}

// collect downloads all that the export has and compares it with the world.
func (j *job) collect(ctx context.Context, rng *rand.Rand) (content, outcome, error) {
	sel := j.ask.sel
	sel.at = j.at.UnixMicro()
	expected := j.soak.world.expect(sel)
	output, graves := newTally(expected.output), newTally(expected.deleted)
	found := content{output: output.got}
	each := func(files []file, take func(file, []byte) error) error {
		for _, f := range files {
			body, err := j.download(ctx, rng, f)
			if err != nil {
				return err
			}
			j.report(f.path(), checkLines(body, f.Count, func(line []byte) error { return take(f, line) }))
		}
		return nil
	}
	err := each(j.manifest.Output, func(f file, line []byte) error { return j.takeLine(output, f, line) })
	if err == nil {
		err = each(j.manifest.Deleted, func(_ file, line []byte) error {
			refs, err := readDeletions(j.client.tenant, line)
			for _, r := range refs {
				// Which version it was is nothing that a deletion says.
				e := exported{ref: r}
				if want := expected.deleted[r]; len(want.numbers) > 0 {
					e.number = want.numbers[0]
				}
				graves.take(j.client.tenant, e)
			}
			found.deleted = append(found.deleted, refs...)
			return err
		})
	}
	if o, err := j.interrupted(err); o != completed || err != nil {
		return found, o, err
	}
	j.report("output", output.end())
	j.report("deleted", graves.end())
	j.soak.count.resources.Add(int64(len(output.got)))
	return found, completed, nil
}

func (j *job) takeLine(t *tally, f file, line []byte) error {
	read := j.soak.world.readLine
	if j.ask.elements() {
		read = j.soak.world.readElements
	}
	e, err := read(line)
	if err != nil {
		return err
	}
	if e.ref.kind != f.Type {
		return errors.New("a " + e.ref.kind + " in a file of " + f.Type)
	}
	t.take(j.client.tenant, e)
	return nil
}

// interrupted says what it means that a download has met an error.
func (j *job) interrupted(err error) (outcome, error) {
	switch {
	case !errors.Is(err, errGone):
		return completed, err
	case j.mayHaveExpired():
		return expired, nil
	}
	return j.violate("a file is gone although the job was not deleted"), nil
}

// kept are completed jobs that clients come back to.
type kept struct {
	mu   sync.Mutex
	jobs []*job
}

const maxKept = 20

// keep leaves the job to whoever takes it later.
func (k *kept) keep(j *job) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.jobs) == maxKept {
		return false
	}
	k.jobs = append(k.jobs, j)
	return true
}

// take gives one of the jobs away, or nil.
func (k *kept) take(rng *rand.Rand) *job {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.jobs) == 0 {
		return nil
	}
	i := rng.IntN(len(k.jobs))
	j := k.jobs[i]
	k.jobs = append(k.jobs[:i], k.jobs[i+1:]...)
	return j
}

// leave ends a client's business with a completed job, or postpones it.
func (j *job) leave(ctx context.Context, rng *rand.Rand) error {
	if rng.IntN(2) == 0 && j.soak.kept.keep(j) {
		return nil
	}
	return j.delete(ctx, rng)
}

// revisit looks whether a completed job is still as it was.
func (s *soak) revisit(ctx context.Context, rng *rand.Rand) error {
	j := s.kept.take(rng)
	if j == nil {
		return nil
	}
	again := &job{soak: s, client: j.client, ask: j.ask, id: j.id, alive: j.alive, moved: time.Now(), expires: j.expires}
	o, err := again.await(ctx, rng, -1)
	if err != nil {
		return err
	}
	if o == completed {
		o, err = j.compare(ctx, rng, again)
	}
	switch {
	case err != nil:
		return err
	case o == expired:
		s.count.expired.Add(1)
		j.bury(j.expires.Add(2 * time.Second))
		return nil
	case o == broken:
		return j.delete(ctx, rng)
	case o == deleted:
		return nil
	}
	return j.leave(ctx, rng)
}

// compare looks whether a job has the manifest and the files that it had.
func (j *job) compare(ctx context.Context, rng *rand.Rand, again *job) (outcome, error) {
	was, is := j.manifest.files(), again.manifest.files()
	if len(was) != len(is) || !j.at.Equal(again.at) {
		return j.violate("%d files at %v, before %d at %v", len(is), again.at, len(was), j.at), nil
	}
	for i, f := range is {
		if f.path() != was[i].path() || f.sha256() != was[i].sha256() || f.Count != was[i].Count {
			return j.violate("%s has changed", f.path()), nil
		}
	}
	if len(is) == 0 {
		return completed, nil
	}
	f := is[rng.IntN(len(is))]
	if err := j.spy(ctx, rng, f.path()); err != nil {
		return broken, err
	}
	body, err := j.download(ctx, rng, f)
	if o, err := j.interrupted(err); o != completed || err != nil {
		return o, err
	}
	j.soak.count.again.Add(1)
	if rng.IntN(4) == 0 {
		return deleted, j.deleteInMidDownload(ctx, rng, f, body)
	}
	return completed, nil
}

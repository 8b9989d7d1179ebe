//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

// population says how many resources of which kinds a tenant has.
func population(tenant string, size int) []ref {
	refs := []ref{{tenant, "Group", groupID}}
	for kind, share := range map[string]int{"Patient": 10, "Organization": 10, "Encounter": 20, "Observation": 60} {
		for i := range max(size*share/100, 1) {
			refs = append(refs, ref{tenant, kind, fmt.Sprintf("%c%d", kind[0]|0x20, i)})
		}
	}
	return refs
}

// protectedPatients of each tenant are never deleted: p0, p1 and so on.
const protectedPatients = 3

func protected(r ref) bool {
	if r.kind != "Patient" {
		return r.kind == "Group"
	}
	for i := range protectedPatients {
		if r.id == fmt.Sprintf("p%d", i) {
			return true
		}
	}
	return false
}

// fill stores the first version of all resources but some, which come later.
func (s *soak) fill(ctx context.Context, refs []ref) error {
	rng := s.random("fill")
	batches := map[string]*bytes.Buffer{}
	var stored []ref
	for _, r := range refs {
		if !protected(r) && rng.IntN(5) == 0 {
			continue
		}
		if batches[r.tenant] == nil {
			batches[r.tenant] = &bytes.Buffer{}
		}
		batches[r.tenant].Write(s.world.line(r, 1))
		batches[r.tenant].WriteByte('\n')
		stored = append(stored, r)
	}
	for tenant, batch := range batches {
		if _, err := s.store.records.Load(ctx, tenant, batch, gormsource.LoadOptions{}); err != nil {
			return err
		}
	}
	at, err := s.store.records.TransactionTime(ctx, "")
	if err != nil {
		return err
	}
	for _, r := range stored {
		s.world.note(r, version{number: 1, by: at.UnixMicro()})
	}
	return nil
}

// write changes resources until ctx ends. No two writers have one in common.
func (s *soak) write(ctx context.Context, rng *rand.Rand, refs []ref) {
	for pause(ctx, time.Duration(rng.IntN(2*int(s.writePause)+1))) {
		r := refs[rng.IntN(len(refs))]
		if rng.IntN(200) == 0 { // the Group is but one of many
			r = refs[0]
		}
		// What has begun is ended, so that it is known what has been written.
		if err := s.change(context.WithoutCancel(ctx), rng, r); err != nil {
			s.violate("writing %s: %v", r, err)
		}
	}
}

// change makes a new version of a resource, or deletes it.
func (s *soak) change(ctx context.Context, rng *rand.Rand, r ref) error {
	s.world.writing.RLock()
	defer s.world.writing.RUnlock()
	last, known := s.world.last(r)
	if known && !last.deleted && !protected(r) && rng.IntN(5) == 0 {
		return s.remove(ctx, r, last.number)
	}
	number := last.number + 1
	at, err := s.store.records.Put(ctx, r.tenant, s.world.body(r, number))
	if err != nil {
		return err
	}
	s.world.note(r, version{number: number, after: at.UnixMicro() - 1, by: at.UnixMicro()})
	s.count.writes.Add(1)
	return nil
}

// remove deletes a resource. When that was nobody says, so it is bounded by the
// times that the source gives before and after it.
func (s *soak) remove(ctx context.Context, r ref, number int) error {
	before, err := s.store.records.TransactionTime(ctx, r.tenant)
	if err != nil {
		return err
	}
	if err := s.store.records.Delete(ctx, r.tenant, r.kind, r.id); err != nil {
		return err
	}
	after, err := s.store.records.TransactionTime(ctx, r.tenant)
	if err != nil {
		return err
	}
	s.world.note(r, version{number: number, deleted: true, after: before.UnixMicro(), by: after.UnixMicro()})
	s.count.deletions.Add(1)
	return nil
}

// pause waits, and reports whether ctx is still on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

package sourcetest

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/bulkexport/bulkexport"
)

func incrementalCases() []testCase {
	needs := []need{needClock()}
	return []testCase{
		{Incremental, "any history", needs, anyHistory},
		{Incremental, "with a writer at work", needs, writerAtWork},
	}
}

// replica is what a client has that applies one export after another.
type replica struct {
	last time.Time
	// has maps type/id to the label of the version.
	has map[string]string
}

func newReplica() replica { return replica{has: make(map[string]string)} }

// follow reads the changes up to a moment.
func (r *replica) follow(ctx context.Context, h *host, at time.Time) error {
	types, err := h.Source.Types(ctx, h.scope(bulkexport.LevelSystem))
	if err != nil {
		return err
	}
	for _, typ := range types {
		items, err := collect(ctx, h.Source, h.asOf(typ, r.last, at))
		if err != nil {
			return err
		}
		for _, it := range items {
			r.has[identity(it)] = it.label
		}
	}
	r.last = at
	return nil
}

func wantReplica(t tester, r replica, live map[string]string) {
	t.Helper()
	if !maps.Equal(r.has, live) {
		has, wants := slices.Sorted(maps.Values(r.has)), slices.Sorted(maps.Values(live))
		t.Errorf("Resources: a full export and those since add up to the state: missing %s, too many %s",
			some(difference(wants, has)), some(difference(has, wants)))
	}
}

func anyHistory(t tester, h *host) {
	random := rand.New(rand.NewPCG(1, 1))
	live, client := make(map[string]string), newReplica()
	for range 12 {
		for range random.IntN(20) {
			h.randomChange(t, random, live)
		}
		at, full := h.cut(t), newReplica()
		h.within(t, "Resources: exports are read", func(ctx context.Context) error {
			return errors.Join(client.follow(ctx, h, at), full.follow(ctx, h, at))
		})
		// Deletions are no part of what a source yields.
		maps.DeleteFunc(client.has, func(id, _ string) bool { return live[id] == "" })
		wantReplica(t, client, live)
		wantReplica(t, full, live)
	}
}

func (h *host) randomChange(t tester, random *rand.Rand, live map[string]string) {
	t.Helper()
	types := []string{"Patient", "Observation", "Organization"}
	r := resource{typ: types[random.IntN(3)], id: strconv.Itoa(random.IntN(12))}
	id := r.typ + "/" + r.id
	if h.Delete != nil && live[id] != "" && random.IntN(3) == 0 {
		live["Basic/marker"] = h.remove(t, r.typ, r.id)
		delete(live, id)
		return
	}
	live[id] = h.put(t, r)[0]
}

func writerAtWork(t tester, h *host) {
	live, client := make(map[string]string), newReplica()
	written := make(chan struct{})
	write := func(ctx context.Context) error {
		defer close(written)
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 300 {
			r := resource{typ: "Observation", id: strconv.Itoa(random.IntN(40))}
			names, _, err := h.store(ctx, h.tenant, r)
			if err != nil {
				return err
			}
			live[r.typ+"/"+r.id] = names[0]
			if i%20 > 0 {
				continue
			}
			if err := pause(ctx); err != nil {
				return err
			}
		}
		return nil
	}
	read := func(ctx context.Context) error {
		for {
			at, err := h.transactionTime(ctx)
			if err != nil {
				return err
			}
			if err := client.follow(ctx, h, at); err != nil {
				return err
			}
			select {
			case <-written:
				return nil
			default:
			}
		}
	}
	h.together(t, "Resources: increments are read while another writes", write, read)
	at := h.cut(t)
	h.within(t, "Resources: the last increment is read", func(ctx context.Context) error {
		return client.follow(ctx, h, at)
	})
	wantReplica(t, client, live)
}

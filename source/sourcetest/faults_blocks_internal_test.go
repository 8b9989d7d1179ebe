package sourcetest

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

func keepBlocks(all blocks, ok func(bulkexport.BlockResource) bool) blocks {
	return slices.DeleteFunc(all, func(b bulkexport.BlockResource) bool { return !ok(b) })
}

func blockFaults() []fault {
	asked := func(change func(*query)) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.blocks = func(
				ctx context.Context, q query, types []string,
			) iter.Seq2[bulkexport.BlockResource, error] {
				change(&q)
				return f.Source.Blocks(ctx, q, types)
			}
		}
	}
	altered := func(change func(query, blocks) blocks) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) { f.onBlocks(change) }
	}
	const forEach = "blocks/a block for each patient"
	return []fault{
		{"no owner in its block", []string{forEach, "blocks/in the order of the patients", "blocks/types"},
			altered(func(_ query, all blocks) blocks {
				return keepBlocks(all, func(b bulkexport.BlockResource) bool { return b.Type != "Patient" })
			})},
		{"an owner closes its block", []string{forEach, "blocks/in the order of the patients"},
			altered(func(_ query, all blocks) blocks { return inEachBlock(all, reversed) })},
		{"blocks out of order", []string{"blocks/in the order of the patients", "blocks/ranges"},
			altered(func(q query, all blocks) blocks {
				slices.SortStableFunc(all, func(a, b bulkexport.BlockResource) int {
					return bytes.Compare([]byte(a.Owner), []byte(b.Owner))
				})
				return all
			})},
		{"blocks in pieces", []string{forEach, "blocks/in several blocks"},
			altered(func(_ query, all blocks) blocks {
				slices.SortStableFunc(all, func(a, b bulkexport.BlockResource) int {
					return bytes.Compare([]byte(a.Type), []byte(b.Type))
				})
				return all
			})},
		{"blocks not by type", []string{forEach},
			altered(func(_ query, all blocks) blocks { return inEachBlock(all, shuffled) })},
		{"each resource in one block", []string{"blocks/in several blocks"},
			altered(func(_ query, all blocks) blocks {
				seen := make(map[string]bool)
				return keepBlocks(all, func(b bulkexport.BlockResource) bool {
					defer func() { seen[string(b.JSON)] = true }()
					return !seen[string(b.JSON)]
				})
			})},
		{"once for each reference", []string{"blocks/in several blocks"},
			altered(func(_ query, all blocks) (joined blocks) {
				for _, b := range all {
					for range max(1, bytes.Count(b.JSON, []byte("Patient/"+b.Owner))) {
						joined = append(joined, b)
					}
				}
				return joined
			})},
		{"an owner always opens its block", []string{"blocks/since and until", "blocks/types"}, ownersAlways},
		{"Since selects owners", []string{"blocks/since and until"},
			func(f *faulty, _ *DataSet) {
				f.onBlocks(func(q query, all blocks) blocks {
					owners := f.patientsOf(q)
					return keepBlocks(all, func(b bulkexport.BlockResource) bool {
						return slices.Contains(owners, b.Owner)
					})
				})
			}},
		{"Until is forgotten in blocks", []string{"blocks/since and until"},
			asked(func(q *query) { q.Until = time.Time{} })},
		{"ranges are forgotten in blocks", []string{"blocks/ranges"},
			asked(func(q *query) { q.After, q.UpTo = nil, nil })},
		{"the Group is forgotten in blocks", []string{"blocks/Group level"},
			asked(func(q *query) { q.Level = bulkexport.LevelPatient })},
		{"other Groups in blocks", []string{"blocks/Group level"}, otherGroupsInBlocks},
		{"Provenance of Patients only in blocks", []string{"blocks/Provenance"},
			altered(func(_ query, all blocks) blocks {
				return keepBlocks(all, func(b bulkexport.BlockResource) bool {
					return b.Type != "Provenance" || bytes.Contains(b.JSON, []byte(`"Patient/`))
				})
			})},
		{"one page of blocks", []string{"blocks/many"},
			altered(func(_ query, all blocks) blocks { return all[:min(1000, len(all))] })},
		{"blocks of the first tenant", []string{"tenants/blocks of one tenant"},
			asked(func(q *query) { q.Tenant = "a" })},
		{"blocks of now", []string{"snapshots/blocks"},
			asked(func(q *query) { q.AsOf = time.Time{} })},
		{"other streams keep what they hold", []string{"release/other streams broken off"}, heldBlocks},
	}
}

// inEachBlock changes blocks one by one.
func inEachBlock(all blocks, change func(blocks) blocks) (changed blocks) {
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(b bulkexport.BlockResource) bool { return b.Owner != all[0].Owner })
		if n < 0 {
			n = len(all)
		}
		changed = append(changed, change(slices.Clone(all[:n]))...)
		all = all[n:]
	}
	return changed
}

func reversed(block blocks) blocks {
	slices.Reverse(block)
	return block
}

// shuffled separates what belongs together.
func shuffled(block blocks) blocks {
	if len(block) > 3 {
		block[1], block[2] = block[2], block[1]
	}
	return block
}

// ownersAlways asks for the owners whatever the query selects.
func ownersAlways(f *faulty, _ *DataSet) {
	f.onBlocks(func(q query, all blocks) blocks {
		patients := make(map[string]bulkexport.Resource)
		for _, r := range f.all(query{Scope: q.Scope, Type: q.Type}) {
			patients[idOf(r)] = r
		}
		return inEachBlock(all, func(block blocks) blocks {
			first := block[0]
			if idOf(first.Resource) == first.Owner && first.Type == "Patient" {
				return block
			}
			first.Resource, first.Type = patients[first.Owner], "Patient"
			return append(blocks{first}, block...)
		})
	})
}

func otherGroupsInBlocks(f *faulty, _ *DataSet) {
	f.blocks = func(
		ctx context.Context, q query, types []string,
	) iter.Seq2[bulkexport.BlockResource, error] {
		if q.Level == bulkexport.LevelGroup {
			members := f.patientsOf(q)
			q.Level, q.Patients = bulkexport.LevelPatient, limitTo(members...)
		}
		return f.Source.Blocks(ctx, q, types)
	}
}

func heldBlocks(f *faulty, _ *DataSet) {
	pool := make(chan struct{}, 10)
	f.blocks = func(
		ctx context.Context, q query, types []string,
	) iter.Seq2[bulkexport.BlockResource, error] {
		return func(yield func(bulkexport.BlockResource, error) bool) {
			select {
			case pool <- struct{}{}:
			case <-ctx.Done():
				yield(bulkexport.BlockResource{}, ctx.Err())
				return
			}
			for b, err := range f.Source.Blocks(ctx, q, types) {
				if !yield(b, err) {
					return
				}
			}
			<-pool
		}
	}
}

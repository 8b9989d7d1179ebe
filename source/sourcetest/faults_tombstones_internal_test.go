package sourcetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
)

// askedOf answers another query for deletions than was asked.
func askedOfDeletions(change func(*query)) func(*faulty, *DataSet) {
	return func(f *faulty, _ *DataSet) {
		f.deletions = func(ctx context.Context, q query) iter.Seq2[bulkexport.Deletion, error] {
			change(&q)
			return f.Source.Deletions(ctx, q)
		}
	}
}

func tombstoneFaults() []fault {
	const again = "tombstones/what is created again"
	return []fault{
		{"a log of deletions",
			[]string{
				"tombstones/after since", "tombstones/until", "tombstones/as of a moment", again,
				"tombstones/types", "tombstones/the last version at Patient level",
				"tombstones/the last version at Group level", "tombstones/some patients",
				"tombstones/Provenance", "tombstones/ranges", "tombstones/keys keep their place",
				"tenants/deletions of one tenant",
			}, logOfDeletions},
		{"no deletions",
			[]string{"tombstones/after since", "tombstones/many", "snapshots/creations are not seen"},
			func(f *faulty, _ *DataSet) {
				f.onDeletions(func(query, deletions) deletions { return nil })
			}},
		{"Since is forgotten for deletions", []string{"tombstones/after since"},
			askedOfDeletions(func(q *query) { q.Since = time.Unix(0, 0) })},
		{"Until is forgotten for deletions", []string{"tombstones/until"},
			askedOfDeletions(func(q *query) { q.Until = time.Time{} })},
		{"AsOf is forgotten for deletions",
			[]string{"tombstones/as of a moment", "snapshots/creations are not seen"},
			askedOfDeletions(func(q *query) { q.AsOf = time.Time{} })},
		{"deletions of any type", []string{"tombstones/types"},
			askedOfDeletions(func(q *query) { q.Type = "Condition" })},
		{"deletions of the first tenant", []string{"tenants/deletions of one tenant"},
			askedOfDeletions(func(q *query) { q.Tenant = "a" })},
		{"deletions at system level",
			[]string{
				"tombstones/the last version at Patient level", "tombstones/some patients",
				"tombstones/the last version at Group level", "tombstones/Provenance",
			},
			askedOfDeletions(func(q *query) { q.Level = bulkexport.LevelSystem })},
		{"a deleted Provenance was of nobody", []string{"tombstones/Provenance"},
			func(f *faulty, _ *DataSet) {
				f.onDeletions(func(q query, all deletions) deletions {
					if q.Type == "Provenance" && q.Level == bulkexport.LevelPatient {
						return nil
					}
					return all
				})
			}},
		{"ranges are forgotten for deletions",
			[]string{"tombstones/ranges", "tombstones/keys keep their place", "tombstones/many"},
			askedOfDeletions(func(q *query) { q.After, q.UpTo = nil, nil })},
		{"another order of deletions each time", []string{"tombstones/ranges"},
			func(f *faulty, _ *DataSet) {
				reads := 0
				f.onDeletions(func(_ query, all deletions) deletions {
					if reads++; reads%2 == 0 {
						slices.Reverse(all)
					}
					return all
				})
			}},
		{"keys of deletions are positions", []string{"tombstones/keys keep their place"},
			func(f *faulty, _ *DataSet) { f.deletionsByPosition() }},
		{"one page of deletions", []string{"tombstones/many"},
			func(f *faulty, _ *DataSet) {
				f.onDeletions(func(_ query, all deletions) deletions { return all[:min(1000, len(all))] })
			}},
		{"a second source knows no deletions", []string{"persistence/deletions"},
			func(f *faulty, d *DataSet) {
				d.Reopen = func(*testing.T) bulkexport.ResourceSource {
					second := newFaulty(f.Source)
					second.onDeletions(func(query, deletions) deletions { return nil })
					return second
				}
			}},
		{"what is deleted again comes twice", []string{again}, deletedTwice},
	}
}

// logOfDeletions yields whatever was ever deleted.
func logOfDeletions(f *faulty, d *DataSet) {
	var mu sync.Mutex
	var log deletions
	remove := d.Delete
	d.Delete = func(ctx context.Context, tenant, resourceType, id string) error {
		mu.Lock()
		defer mu.Unlock()
		key := binary.BigEndian.AppendUint64(nil, uint64(len(log)))
		log = append(log, bulkexport.Deletion{Key: key, ID: id})
		return remove(ctx, tenant, resourceType, id)
	}
	f.onDeletions(func(query, deletions) deletions { return log })
}

// deletedTwice also yields the first of two deletions.
func deletedTwice(f *faulty, d *DataSet) {
	deleted := make(map[string]int)
	remove := d.Delete
	d.Delete = func(ctx context.Context, tenant, resourceType, id string) error {
		deleted[id]++
		return remove(ctx, tenant, resourceType, id)
	}
	f.onDeletions(func(_ query, all deletions) deletions {
		for _, one := range all {
			if deleted[one.ID] > 1 {
				one.Key = append(bytes.Clone(one.Key), 0)
				all = append(all, one)
			}
		}
		return all
	})
}

func (f *faulty) deletionsByPosition() {
	f.deletions = func(ctx context.Context, q query) iter.Seq2[bulkexport.Deletion, error] {
		whole := q
		whole.After, whole.UpTo = nil, nil
		return edited(ctx, f.Source.Deletions(ctx, whole), func(all deletions) deletions {
			from, to := 0, len(all)
			for i := range all {
				all[i].Key = binary.BigEndian.AppendUint64(nil, uint64(i))
				if bytes.Equal(all[i].Key, q.After) {
					from = i + 1
				}
				if bytes.Equal(all[i].Key, q.UpTo) {
					to = i + 1
				}
			}
			return all[min(from, to):to]
		})
	}
}

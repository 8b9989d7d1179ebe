package sourcetest

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

// askedOfLookup looks up by another query than was asked.
func askedOfLookup(change func(*query)) func(*faulty, *DataSet) {
	return func(f *faulty, _ *DataSet) {
		f.lookup = func(ctx context.Context, q query, ids []string) iter.Seq2[bulkexport.Resource, error] {
			change(&q)
			return f.Source.Lookup(ctx, q, ids)
		}
	}
}

func lookupFaults() []fault {
	return []fault{
		{"an id given twice is found twice", []string{"lookup/each once"},
			func(f *faulty, _ *DataSet) {
				f.onLookup(func(q query, ids []string, _ resources) (found resources) {
					for _, id := range ids {
						found = append(found, keep(f.all(q), func(r bulkexport.Resource) bool {
							return idOf(r) == id
						})...)
					}
					return found
				})
			}},
		{"keys of lookups are others", []string{"lookup/each once"},
			func(f *faulty, _ *DataSet) {
				f.onLookup(func(_ query, _ []string, found resources) resources {
					for i := range found {
						found[i].Key = []byte(idOf(found[i]))
					}
					return found
				})
			}},
		{"looked up without case", []string{"lookup/absent ids"},
			func(f *faulty, _ *DataSet) {
				f.onLookup(func(q query, ids []string, found resources) resources {
					for _, id := range ids {
						found = append(found, keep(f.all(q), func(r bulkexport.Resource) bool {
							return idOf(r) != id && strings.EqualFold(idOf(r), id)
						})...)
					}
					return found
				})
			}},
		{"a thousand ids", []string{"lookup/many ids"},
			func(f *faulty, _ *DataSet) {
				f.onLookup(func(_ query, _ []string, found resources) resources {
					return found[:min(1000, len(found))]
				})
			}},
		{"what was found once is remembered", []string{"lookup/the newest version"}, rememberedLookup},
		{"Since is forgotten in lookups", []string{"lookup/since and until"},
			askedOfLookup(func(q *query) { q.Since = time.Time{} })},
		{"Until is forgotten in lookups", []string{"lookup/since and until"},
			askedOfLookup(func(q *query) { q.Until = time.Time{} })},
		{"the level is forgotten in lookups", []string{"lookup/Patient level", "lookup/Group level"},
			askedOfLookup(func(q *query) { q.Level = bulkexport.LevelSystem })},
		{"the tenant is forgotten in lookups", []string{"tenants/ids of one tenant"},
			askedOfLookup(func(q *query) { q.Tenant = "a" })},
		{"AsOf is forgotten in lookups", []string{"snapshots/ids"},
			askedOfLookup(func(q *query) { q.AsOf = time.Time{} })},
	}
}

func rememberedLookup(f *faulty, d *DataSet) {
	first := make(map[string][]byte)
	d.Put = spyPut(d.Put, func(doc []byte) {
		if id := idOf(bulkexport.Resource{JSON: doc}); first[id] == nil {
			first[id] = doc
		}
	})
	f.onLookup(func(_ query, _ []string, found resources) resources {
		for i := range found {
			found[i].JSON = first[idOf(found[i])]
		}
		return found
	})
}

func provenanceFaults() []fault {
	onProvenance := func(change func(*query)) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.onEveryQuery(func(q query) query {
				if q.Type == "Provenance" && q.Level != bulkexport.LevelSystem {
					change(&q)
				}
				return q
			})
		}
	}
	const ofTargets, ofMoved = "provenance/targets in a compartment",
		"provenance/a target that changes its patient"
	return []fault{
		{"a Provenance needs a Patient as target",
			[]string{
				ofTargets, ofMoved, "provenance/ranges at Patient level", "provenance/Group level",
				"provenance/some patients", "snapshots/Provenance",
			}, directProvenance},
		{"any Provenance is in a compartment", []string{ofTargets, ofMoved},
			onProvenance(func(q *query) { q.Level = bulkexport.LevelSystem })},
		{"any patient's Provenance is a member's", []string{"provenance/Group level"},
			onProvenance(func(q *query) { q.Level = bulkexport.LevelPatient })},
		{"ranges are forgotten for Provenance", []string{"provenance/ranges at Patient level"},
			onProvenance(func(q *query) { q.After, q.UpTo = nil, nil })},
		{"compartments of targets are those of now", []string{"snapshots/Provenance"},
			onProvenance(func(q *query) { q.AsOf = time.Time{} })},
		{"types without Provenance", []string{"provenance/types"},
			func(f *faulty, _ *DataSet) {
				f.types = func(context.Context, bulkexport.Scope) ([]string, error) {
					return []string{"Patient", "Observation"}, nil
				}
			}},
	}
}

func directProvenance(f *faulty, _ *DataSet) {
	f.onItems(func(q query, all resources) resources {
		return keep(all, func(r bulkexport.Resource) bool {
			return q.Type != "Provenance" || q.Level == bulkexport.LevelSystem ||
				bytes.Contains(r.JSON, []byte(`"Patient/`))
		})
	})
}

package sourcetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bulkexport/bulkexport"
)

type putFunc = func(ctx context.Context, tenant string, resources ...[]byte) (time.Time, error)

// spyPut tells of each resource before it is put.
func spyPut(put putFunc, tell func(doc []byte)) putFunc {
	return func(ctx context.Context, tenant string, resources ...[]byte) (time.Time, error) {
		for _, doc := range resources {
			tell(doc)
		}
		return put(ctx, tenant, resources...)
	}
}

func orderFaults() []fault {
	return []fault{
		{"another order each time", []string{"order/the same each time"},
			func(f *faulty, _ *DataSet) {
				var reads atomic.Int64
				f.onItems(func(_ query, all resources) resources {
					if reads.Add(1)%2 == 0 {
						slices.Reverse(all)
					}
					return all
				})
			}},
		{"After is inclusive",
			[]string{
				"order/after every key", "order/every range", "order/ranges at Patient level",
				"basics/many resources", "splitting/ranges add up",
			},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					before := f.before(q)
					if q.After == nil || len(before) == 0 {
						return all
					}
					return append(before[len(before)-1:], all...)
				})
			}},
		{"UpTo is exclusive",
			[]string{"order/up to every key", "order/every range", "splitting/ranges add up"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					return keep(all, func(r bulkexport.Resource) bool { return !bytes.Equal(r.Key, q.UpTo) })
				})
			}},
		{"ranges are forgotten at Patient level",
			[]string{"order/ranges at Patient level", "splitting/Patient level"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					if q.Level == bulkexport.LevelPatient {
						q.After, q.UpTo = nil, nil
					}
					return q
				})
			}},
	}
}

func keyFaults() []fault {
	changed := []string{
		"order/after a key that was superseded", "order/after a key that was deleted",
	}
	rekey := func(change func(key []byte) []byte) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.onItems(func(_ query, all resources) resources {
				for i := range all {
					all[i].Key = change(all[i].Key)
				}
				return all
			})
		}
	}
	once := []string{"basics/each resource once"}
	return []fault{
		{"keys are positions", changed, func(f *faulty, _ *DataSet) { f.onItems(f.positions) }},
		{"a key that is gone ends the stream", changed, func(f *faulty, _ *DataSet) {
			f.onItems(func(q query, all resources) resources {
				before := f.before(q)
				if q.After != nil && !bytes.Equal(before[len(before)-1].Key, q.After) {
					return nil
				}
				return all
			})
		}},
		{"keys are too long", once, rekey(func(key []byte) []byte {
			return append(bytes.Repeat([]byte("k"), maxKey), key...)
		})},
		{"a key is shared", once, rekey(func([]byte) []byte { return []byte("k") })},
		{"there is no key", once, rekey(func([]byte) []byte { return nil })},
	}
}

// before returns what stands up to q.After.
func (f *faulty) before(q query) resources {
	q.After, q.UpTo = nil, q.After
	return f.all(q)
}

// positions keys resources by their place among those there are now.
func (f *faulty) positions(q query, _ resources) resources {
	whole := q
	whole.After, whole.UpTo = nil, nil
	all := f.all(whole)
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
}

func rangeFaults() []fault {
	splitting := func(change func(cuts [][]byte) [][]byte) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.split = func(ctx context.Context, q query, size int64) ([][]byte, error) {
				cuts, err := f.Source.Split(ctx, q, size)
				return change(cuts), err
			}
		}
	}
	return []fault{
		{"a count below zero", []string{"counting/any query", "counting/nothing"},
			func(f *faulty, _ *DataSet) {
				f.count = func(context.Context, query) (int64, error) { return -1, nil }
			}},
		{"counts and cuts over all tenants", []string{"tenants/counts and cuts of one tenant"},
			func(f *faulty, _ *DataSet) {
				f.count = func(context.Context, query) (int64, error) { return 20, nil }
			}},
		{"cuts of another tenant", []string{"tenants/counts and cuts of one tenant"},
			func(f *faulty, _ *DataSet) {
				f.split = func(ctx context.Context, q query, size int64) ([][]byte, error) {
					q.Tenant = "a"
					return f.Source.Split(ctx, q, size)
				}
			}},
		{"cuts out of order",
			[]string{"splitting/ranges add up", "splitting/ranges of a range", "splitting/an increment"},
			splitting(func(cuts [][]byte) [][]byte {
				slices.Reverse(cuts)
				return cuts
			})},
		{"what is empty is cut", []string{"splitting/nothing to split"},
			splitting(func(cuts [][]byte) [][]byte {
				return append(cuts, []byte{0xff})
			})},
		{"an empty cut", []string{"splitting/ranges add up"},
			splitting(func(cuts [][]byte) [][]byte {
				return append([][]byte{{}}, cuts...)
			})},
		{"cuts beyond the range", []string{"splitting/ranges of a range"},
			func(f *faulty, _ *DataSet) {
				f.split = func(ctx context.Context, q query, size int64) ([][]byte, error) {
					q.After, q.UpTo = nil, nil
					return f.Source.Split(ctx, q, size)
				}
			}},
		{"one cut for any size", []string{"splitting/ranges of similar size"},
			splitting(func(cuts [][]byte) [][]byte { return cuts[:min(1, len(cuts))] })},
		{"a cut for every resource", []string{"splitting/ranges of similar size"},
			func(f *faulty, _ *DataSet) {
				f.split = func(ctx context.Context, q query, _ int64) ([][]byte, error) {
					return f.Source.Split(ctx, q, 1)
				}
			}},
		{"cuts are positions",
			[]string{"splitting/changes after the cut", "snapshots/cuts made earlier"}, positionalCuts},
	}
}

// positionalCuts have no meaning once the data has changed: a range that
// begins at one of them is empty.
func positionalCuts(f *faulty, d *DataSet) {
	var changes atomic.Int64
	var cutAt int64
	d.Put = spyPut(d.Put, func([]byte) { changes.Add(1) })
	f.split = func(ctx context.Context, q query, size int64) ([][]byte, error) {
		cutAt = changes.Load()
		return f.Source.Split(ctx, q, size)
	}
	f.onItems(func(q query, all resources) resources {
		if q.After != nil && changes.Load() != cutAt {
			return nil
		}
		return all
	})
}

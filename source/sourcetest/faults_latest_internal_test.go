package sourcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"
)

// candidate is a Provenance that may be the latest of a target.
type candidate struct {
	key      []byte
	recorded string
}

// latestOf chooses among all that have the target, in the order of their keys.
func (f *faulty) latestOf(choose func(all []candidate) candidate) {
	f.latest = func(_ context.Context, q query, typ, id string) ([]byte, error) {
		var all []candidate
		for _, r := range f.all(q) {
			var doc struct{ Recorded string }
			_ = json.Unmarshal(r.JSON, &doc)
			if bytes.Contains(r.JSON, []byte(`"`+typ+"/"+id+`"`)) {
				all = append(all, candidate{r.Key, doc.Recorded})
			}
		}
		if len(all) == 0 {
			return nil, nil
		}
		return choose(all).key, nil
	}
}

func latestFaults() []fault {
	asked := func(change func(q *query, id *string)) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.latest = func(ctx context.Context, q query, typ, id string) ([]byte, error) {
				change(&q, &id)
				return f.Source.LatestProvenance(ctx, q, typ, id)
			}
		}
	}
	const byRecorded = "provenance/latest by recorded"
	return []fault{
		{"recorded is compared as text", []string{byRecorded},
			func(f *faulty, _ *DataSet) {
				f.latestOf(func(all []candidate) candidate {
					latest := all[0]
					for _, c := range all {
						if c.recorded >= latest.recorded {
							latest = c
						}
					}
					return latest
				})
			}},
		{"the last updated is the latest", []string{byRecorded},
			func(f *faulty, _ *DataSet) {
				f.latestOf(func(all []candidate) candidate { return all[len(all)-1] })
			}},
		{"the first updated is the latest",
			[]string{"provenance/latest by last update", "provenance/latest of the present"},
			func(f *faulty, _ *DataSet) {
				f.latestOf(func(all []candidate) candidate { return all[0] })
			}},
		{"without Provenance there is an error", []string{"provenance/latest of none"},
			func(f *faulty, _ *DataSet) {
				f.latest = func(ctx context.Context, q query, typ, id string) ([]byte, error) {
					key, err := f.Source.LatestProvenance(ctx, q, typ, id)
					if key == nil && err == nil {
						err = errors.New("there is none")
					}
					return key, err
				}
			}},
		{"targets are matched by the beginning", []string{"provenance/latest of none"},
			asked(func(_ *query, id *string) {
				if *id == "o" {
					*id = "o1"
				}
			})},
		{"the latest is remembered", []string{"provenance/latest of the present"}, rememberedLatest},
		{"the latest of the range", []string{"provenance/latest whatever the query"},
			func(f *faulty, _ *DataSet) {
				f.latestOf(func(all []candidate) candidate { return all[len(all)-1] })
			}},
		{"the latest of the first tenant", []string{"tenants/Provenance of one tenant"},
			asked(func(q *query, _ *string) { q.Tenant = "a" })},
		{"the latest of now", []string{"snapshots/latest Provenance"},
			asked(func(q *query, _ *string) { q.AsOf = time.Time{} })},
	}
}

func rememberedLatest(f *faulty, _ *DataSet) {
	known := make(map[string][]byte)
	f.latest = func(ctx context.Context, q query, typ, id string) ([]byte, error) {
		key, err := f.Source.LatestProvenance(ctx, q, typ, id)
		if known[typ+id] == nil {
			known[typ+id] = key
		}
		return known[typ+id], err
	}
}

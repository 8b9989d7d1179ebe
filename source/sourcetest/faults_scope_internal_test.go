package sourcetest

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

func tenantFaults() []fault {
	return []fault{
		{"tenants are trimmed and compared without case", []string{"tenants/names that look alike"},
			func(f *faulty, d *DataSet) {
				put := d.Put
				plain := func(tenant string) string { return strings.ToLower(strings.TrimSpace(tenant)) }
				d.Put = func(ctx context.Context, tenant string, docs ...[]byte) (time.Time, error) {
					return put(ctx, plain(tenant), docs...)
				}
				f.onQuery(func(q query) query {
					q.Tenant = plain(q.Tenant)
					return q
				})
			}},
		{"the empty tenant is any", []string{"tenants/the empty name is not all tenants"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					if q.Tenant == "" {
						q.Tenant = "a"
					}
					return q
				})
			}},
		{"deletions reach all tenants", []string{"tenants/a change touches one tenant"},
			func(f *faulty, d *DataSet) {
				d.Delete = func(_ context.Context, _, resourceType, id string) error {
					f.Delete("a", resourceType, id)
					f.Delete("b", resourceType, id)
					return nil
				}
			}},
		{"types of the first tenant", []string{"tenants/types of one tenant"},
			func(f *faulty, _ *DataSet) {
				f.types = func(ctx context.Context, s bulkexport.Scope) ([]string, error) {
					s.Tenant = "a"
					return f.Source.Types(ctx, s)
				}
			}},
	}
}

func compartmentFaults() []fault {
	const inAndOut = "compartment/what is in and what is out"
	return []fault{
		{"no level but system", []string{inAndOut, "compartment/a resource that changes its patient"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					q.Level = bulkexport.LevelSystem
					return q
				})
			}},
		{"no Patient at Patient level", []string{inAndOut},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					if q.Level == bulkexport.LevelPatient && q.Type == "Patient" {
						return nil
					}
					return all
				})
			}},
		{"once for each patient", []string{inAndOut},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					var joined resources
					for _, r := range all {
						for range max(1, bytes.Count(r.JSON, []byte(`"Patient/p`))) {
							joined = append(joined, r)
						}
					}
					return joined
				})
			}},
		{"types without those of members", []string{"compartment/types at Patient level"},
			func(f *faulty, _ *DataSet) {
				f.types = func(_ context.Context, s bulkexport.Scope) ([]string, error) {
					return []string{"Patient", "Observation"}, nil
				}
			}},
		{"members of a Patient that came first", []string{"compartment/a resource before its Patient"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					patients := f.all(query{Scope: q.Scope, Type: "Patient"})
					return keep(all, func(r bulkexport.Resource) bool {
						return bytes.Compare(r.Key, patients[0].Key) > 0
					})
				})
			}},
	}
}

func timeFaults() []fault {
	return []fault{
		{"Since is inclusive", []string{"times/since", "times/since and until"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					q.Since = q.Since.Add(-time.Nanosecond)
					return q
				})
			}},
		{"Since is a millisecond late", []string{"times/since"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					q.Since = q.Since.Add(time.Millisecond)
					return q
				})
			}},
		{"Until is inclusive", []string{"times/until", "times/since and until"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					if !q.Until.IsZero() {
						q.Until = q.Until.Add(time.Nanosecond)
					}
					return q
				})
			}},
		{"Since is forgotten in a range",
			[]string{"times/since at Patient level and in a range", "splitting/an increment"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					if q.After != nil || q.UpTo != nil {
						q.Since = time.Time{}
					}
					return q
				})
			}},
	}
}

func stateFaults() []fault {
	return []fault{
		{"AsOf is exclusive", []string{"times/as of a last update"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					if !q.AsOf.IsZero() {
						q.AsOf = q.AsOf.Add(-time.Nanosecond)
					}
					return q
				})
			}},
		{"AsOf is ignored",
			[]string{
				"times/as of a last update", "snapshots/new versions are not seen",
				"snapshots/deletions are not seen", "snapshots/every resumed stream",
				"snapshots/an increment", "snapshots/two moments", "snapshots/Patient level",
				"snapshots/cuts made earlier",
			},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					q.AsOf = time.Time{}
					return q
				})
			}},
		{"Since goes by the creation",
			[]string{
				"times/since a new version", "changes/what changes is not lost to the next export",
				"incremental/any history", "incremental/with a writer at work",
			},
			createdSince},
	}
}

// createdSince leaves out a resource whose first version is not new.
func createdSince(f *faulty, _ *DataSet) {
	f.onItems(func(q query, all resources) resources {
		before := q
		before.Since, before.AsOf = time.Time{}, q.Since
		old := make(map[string]bool)
		if !q.Since.IsZero() {
			for _, r := range f.all(before) {
				old[idOf(r)] = true
			}
		}
		return keep(all, func(r bulkexport.Resource) bool { return !old[idOf(r)] })
	})
}

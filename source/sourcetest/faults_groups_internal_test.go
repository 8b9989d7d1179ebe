package sourcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport"
)

// changePut stores other Groups than were put.
func changePut(d *DataSet, change func(group []byte) []byte) {
	put := d.Put
	d.Put = func(ctx context.Context, tenant string, docs ...[]byte) (time.Time, error) {
		changed := slices.Clone(docs)
		for i, doc := range changed {
			if bytes.Contains(doc, []byte(`"resourceType":"Group"`)) {
				changed[i] = change(doc)
			}
		}
		return put(ctx, tenant, changed...)
	}
}

func rewritten(pattern, replacement string) func(*faulty, *DataSet) {
	return func(_ *faulty, d *DataSet) {
		changePut(d, func(group []byte) []byte {
			return regexp.MustCompile(pattern).ReplaceAll(group, []byte(replacement))
		})
	}
}

func atGroupLevel(change func(*query)) func(*faulty, *DataSet) {
	return func(f *faulty, _ *DataSet) {
		f.onEveryQuery(func(q query) query {
			if q.Level == bulkexport.LevelGroup {
				change(&q)
			}
			return q
		})
	}
}

func groupFaults() []fault {
	return []fault{
		{"an unknown Group is empty",
			[]string{"groups/an unknown Group", "groups/a Group that is deleted", "tenants/Groups of one tenant"},
			unknownIsEmpty},
		{"an unknown Group is known by its queries only", []string{"groups/an unknown Group"},
			func(f *faulty, _ *DataSet) {
				f.check = func(context.Context, string, string) error { return nil }
			}},
		{"an empty Group is everybody", []string{"groups/an empty Group", "blocks/Group level"},
			func(f *faulty, _ *DataSet) {
				f.onEveryQuery(func(q query) query {
					if q.Level == bulkexport.LevelGroup && len(f.patientsOf(q)) == 0 && f.hasGroup(q) {
						q.Level = bulkexport.LevelPatient
					}
					return q
				})
			}},
		{"an empty Group is itself", []string{"groups/an empty Group"}, emptyGroupItself},
		{"Group level is Patient level",
			[]string{
				"groups/members only", "groups/Groups in Groups", "groups/former members",
				"groups/no other Group", "groups/a change of members", "groups/many members",
				"groups/since", "groups/ranges and cuts", "lookup/Group level", "blocks/Group level",
				"tombstones/the last version at Group level", "provenance/Group level",
			},
			func(f *faulty, _ *DataSet) {
				f.onEveryQuery(func(q query) query {
					if q.Level == bulkexport.LevelGroup && f.hasGroup(q) {
						q.Level = bulkexport.LevelPatient
					}
					return q
				})
			}},
		{"Groups in Groups are passed over", []string{"groups/Groups in Groups", "groups/Groups in a circle"},
			rewritten(`"Group/`, `"List/`)},
		{"a Group in a Group is looked for in another tenant", []string{"tenants/Groups of one tenant"},
			func(f *faulty, d *DataSet) {
				put := d.Put
				d.Put = func(ctx context.Context, tenant string, docs ...[]byte) (time.Time, error) {
					for _, doc := range docs {
						if tenant == "a" && bytes.Contains(doc, []byte(`"Group","id":"g"`)) {
							if _, err := put(ctx, "b", doc); err != nil {
								return time.Time{}, err
							}
						}
					}
					return put(ctx, tenant, docs...)
				}
			}},
		{"a circle is walked for ever", []string{"groups/Groups in a circle"}, endlessCircle},
		{"inactive members count", []string{"groups/former members"},
			rewritten(`"inactive":true`, `"inactive":false`)},
		{"periods do not end", []string{"groups/former members"}, rewritten(`"period":`, `"extension":`)},
		{"a day ends as it begins", []string{"groups/former members"},
			rewritten(`"end":"(\d{4}-\d\d-\d\d)"`, `"end":"${1}T00:00:00Z"`)},
		{"a year ends as it begins", []string{"groups/former members"},
			rewritten(`"end":"(\d{4})"`, `"end":"${1}-01-01T00:00:00Z"`)},
		{"time zones are passed over", []string{"groups/former members"},
			rewritten(`"end":"([^"]*T[^"]*)[+-]\d\d:\d\d"`, `"end":"${1}Z"`)},
		{"all Groups of a member", []string{"groups/no other Group"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					if q.Level != bulkexport.LevelGroup || q.Type != "Group" {
						return all
					}
					q.Level, q.Patients = bulkexport.LevelPatient, limitTo(f.patientsOf(q)...)
					return f.all(q)
				})
			}},
		{"no Group at Group level", []string{"groups/members only", "groups/Groups in Groups"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					if q.Level == bulkexport.LevelGroup && q.Type == "Group" {
						return nil
					}
					return all
				})
			}},
		{"the first version of a Group counts", []string{"groups/a change of members"}, firstVersionOfGroup},
		{"members are those of now", []string{"snapshots/members of a Group"},
			atGroupLevel(func(q *query) { q.AsOf = time.Time{} })},
		{"deleted Groups have members", []string{"groups/a Group that is deleted"},
			func(f *faulty, d *DataSet) {
				remove := d.Delete
				d.Delete = func(ctx context.Context, tenant, resourceType, id string) error {
					if resourceType == "Group" {
						return nil
					}
					return remove(ctx, tenant, resourceType, id)
				}
			}},
		{"a thousand members", []string{"groups/many members"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					if q.Level == bulkexport.LevelGroup {
						return all[:min(1000, len(all))]
					}
					return all
				})
			}},
		{"Since selects members", []string{"groups/since"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(q query, all resources) resources {
					if q.Level == bulkexport.LevelGroup && len(f.patientsOf(q)) == 0 {
						return nil
					}
					return all
				})
			}},
		{"ranges are forgotten at Group level", []string{"groups/ranges and cuts"},
			atGroupLevel(func(q *query) { q.After, q.UpTo = nil, nil })},
		{"types without those of Groups", []string{"groups/types"},
			func(f *faulty, _ *DataSet) {
				f.types = func(ctx context.Context, s bulkexport.Scope) ([]string, error) {
					names, err := f.Source.Types(ctx, s)
					return slices.DeleteFunc(names, func(name string) bool { return name == "Group" }), err
				}
			}},
	}
}

// checkFaults are about CheckGroup.
func checkFaults() []fault {
	const described = "groups/a Group that does not name its members"
	onRefusal := func(change func(refused bulkexport.RequestError) error) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.check = func(ctx context.Context, tenant, id string) error {
				err := f.Source.CheckGroup(ctx, tenant, id)
				var refused *bulkexport.RequestError
				if errors.As(err, &refused) {
					return change(*refused)
				}
				return err
			}
		}
	}
	return []fault{
		{"any Group will do", []string{described},
			onRefusal(func(bulkexport.RequestError) error { return nil })},
		{"a Group without a list is absent", []string{described},
			onRefusal(func(bulkexport.RequestError) error { return bulkexport.ErrGroupNotFound })},
		{"a refusal without words", []string{described},
			onRefusal(func(r bulkexport.RequestError) error {
				r.Reason = ""
				return &r
			})},
		{"a refusal that says too much", []string{described},
			onRefusal(func(r bulkexport.RequestError) error {
				r.Reason += ": Patient/p1"
				return &r
			})},
		{"Groups in Groups are not checked", []string{described},
			func(_ *faulty, d *DataSet) {
				changePut(d, func(group []byte) []byte {
					return bytes.ReplaceAll(group, []byte(`"Group/`), []byte(`"List/`))
				})
			}},
		{"modifiers of members are not checked", []string{described},
			rewritten(`(p1"\},)"modifierExtension"`, `${1}"extension"`)},
		{"Groups in Groups are refused", []string{"groups/Groups in Groups", "groups/Groups in a circle"},
			func(f *faulty, _ *DataSet) {
				f.check = func(ctx context.Context, tenant, id string) error {
					q := query{Scope: bulkexport.Scope{Tenant: tenant, Level: bulkexport.LevelSystem}}
					if len(f.nested(q, id)) > 0 {
						return errors.New("too difficult")
					}
					return f.Source.CheckGroup(ctx, tenant, id)
				}
			}},
	}
}

// patientsOf returns the ids of the Patients that the query selects, whatever
// its type.
func (f *faulty) patientsOf(q query) []string {
	q.Type, q.After, q.UpTo = "Patient", nil, nil
	var ids []string
	for _, r := range f.all(q) {
		ids = append(ids, idOf(r))
	}
	return ids
}

func (f *faulty) hasGroup(q query) bool {
	return f.Source.CheckGroup(context.Background(), q.Tenant, q.Group) == nil
}

// nested returns the ids of the Groups that a Group names.
func (f *faulty) nested(q query, group string) []string {
	q.Level, q.Type, q.After, q.UpTo, q.Since = bulkexport.LevelSystem, "Group", nil, nil, time.Time{}
	var ids []string
	for _, r := range f.all(q) {
		var doc struct {
			ID     string
			Member []struct{ Entity struct{ Reference string } }
		}
		_ = json.Unmarshal(r.JSON, &doc)
		for _, m := range doc.Member {
			if id, ok := strings.CutPrefix(m.Entity.Reference, "Group/"); ok && doc.ID == group {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

func unknownIsEmpty(f *faulty, _ *DataSet) {
	known := func(err error) error {
		if errors.Is(err, bulkexport.ErrGroupNotFound) {
			return nil
		}
		return err
	}
	f.check = func(ctx context.Context, tenant, id string) error {
		return known(f.Source.CheckGroup(ctx, tenant, id))
	}
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		for r, err := range f.Source.Resources(ctx, q) {
			if err != nil && known(err) == nil || !yield(r, err) {
				return
			}
		}
	})
}

func emptyGroupItself(f *faulty, _ *DataSet) {
	f.onItems(func(q query, all resources) resources {
		if q.Level != bulkexport.LevelGroup || q.Type != "Group" {
			return all
		}
		q.Level = bulkexport.LevelSystem
		return keep(f.all(q), func(r bulkexport.Resource) bool { return idOf(r) == q.Group })
	})
}

func endlessCircle(f *faulty, _ *DataSet) {
	f.onStream(func(ctx context.Context, q query, yield yieldFunc) {
		for open := []string{q.Group}; len(open) > 0 && q.Level == bulkexport.LevelGroup; open = open[1:] {
			if ctx.Err() != nil {
				yield(bulkexport.Resource{}, ctx.Err())
				return
			}
			open = append(open, f.nested(q, open[0])...)
		}
		f.Source.Resources(ctx, q)(yield)
	})
}

func firstVersionOfGroup(_ *faulty, d *DataSet) {
	var mu sync.Mutex
	first := make(map[string][]byte)
	changePut(d, func(group []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		id := idOf(bulkexport.Resource{JSON: group})
		if first[id] == nil {
			first[id] = group
		}
		return first[id]
	})
}

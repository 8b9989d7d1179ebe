package sourcetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/bulkexport/bulkexport"
)

// idOf reads the id of a resource of the suite's making.
func idOf(r bulkexport.Resource) string {
	var doc struct{ ID string }
	_ = json.Unmarshal(r.JSON, &doc)
	return doc.ID
}

func keep(list resources, ok func(bulkexport.Resource) bool) resources {
	return slices.DeleteFunc(list, func(r bulkexport.Resource) bool { return !ok(r) })
}

func typeFaults() []fault {
	return []fault{
		{"an empty scope is an error", []string{"basics/nothing in an empty scope"},
			func(f *faulty, _ *DataSet) {
				f.types = func(ctx context.Context, s bulkexport.Scope) ([]string, error) {
					names, err := f.Source.Types(ctx, s)
					if len(names) == 0 {
						err = errors.New("no such tenant")
					}
					return names, err
				}
			}},
		{"types are compared without case", []string{"basics/nothing of an unknown type"},
			func(f *faulty, _ *DataSet) {
				f.onQuery(func(q query) query {
					if strings.EqualFold(q.Type, "patient") {
						q.Type = "Patient"
					}
					return q
				})
			}},
		{"a type is left out", []string{"basics/types name all that is there"},
			func(f *faulty, _ *DataSet) {
				f.types = func(ctx context.Context, s bulkexport.Scope) ([]string, error) {
					names, err := f.Source.Types(ctx, s)
					return names[min(1, len(names)):], err
				}
			}},
		{"a type is named twice", []string{"basics/types name all that is there"},
			func(f *faulty, _ *DataSet) {
				f.types = func(ctx context.Context, s bulkexport.Scope) ([]string, error) {
					names, err := f.Source.Types(ctx, s)
					return slices.Concat(names, names), err
				}
			}},
	}
}

func populationFaults() []fault {
	return []fault{
		{"resources come twice", []string{"basics/each resource once"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(_ query, all resources) resources { return slices.Concat(all, all) })
			}},
		{"the last resource is lost", []string{"basics/each resource once"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(_ query, all resources) resources { return all[:max(0, len(all)-1)] })
			}},
		{"one page only", []string{"basics/many resources"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(_ query, all resources) resources { return all[:min(1000, len(all))] })
			}},
		{"an id is of the type that used it last", []string{"basics/an id in two types"}, oneTypePerID},
		{"ids are compared without case", []string{"basics/ids that differ by case"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(_ query, all resources) resources {
					seen := make(map[string]bool)
					return keep(all, func(r bulkexport.Resource) bool {
						id := strings.ToLower(idOf(r))
						defer func() { seen[id] = true }()
						return !seen[id]
					})
				})
			}},
		{"old versions are yielded", []string{"basics/the newest version only"}, oldVersions},
		{"deletions are lost", []string{"deletion/what is deleted is gone", "deletion/all of a type"},
			func(_ *faulty, d *DataSet) {
				d.Delete = func(context.Context, string, string, string) error { return nil }
			}},
		{"what was deleted stays so", []string{"deletion/what is created again is there once"},
			deletedForGood},
		{"large resources are left out", []string{"large/five megabytes"},
			func(f *faulty, _ *DataSet) {
				f.onItems(func(_ query, all resources) resources {
					return keep(all, func(r bulkexport.Resource) bool { return len(r.JSON) < 1<<20 })
				})
			}},
	}
}

func contentFaults() []fault {
	rewrite := func(change func([]byte) []byte) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.onItems(func(_ query, all resources) resources {
				for i := range all {
					all[i].JSON = change(all[i].JSON)
				}
				return all
			})
		}
	}
	untouched := []string{"bytes/as they were put"}
	return []fault{
		{"white space is taken out", untouched, rewrite(func(doc []byte) []byte {
			var b bytes.Buffer
			_ = json.Compact(&b, doc)
			return b.Bytes()
		})},
		{"members are sorted", untouched, rewrite(func(doc []byte) []byte {
			var members map[string]json.RawMessage
			_ = json.Unmarshal(doc, &members)
			sorted, _ := json.Marshal(members)
			return sorted
		})},
		{"HTML is escaped", untouched, rewrite(func(doc []byte) []byte {
			var b bytes.Buffer
			json.HTMLEscape(&b, doc)
			return b.Bytes()
		})},
		{"a large resource is cut", []string{"large/five megabytes"}, rewrite(func(doc []byte) []byte {
			if len(doc) < 1<<20 {
				return doc
			}
			return append(doc[:1<<20:1<<20], `"}}`...)
		})},
	}
}

func oneTypePerID(f *faulty, d *DataSet) {
	var mu sync.Mutex
	typeOf, put := make(map[string]string), d.Put
	d.Put = spyPut(put, func(doc []byte) {
		mu.Lock()
		defer mu.Unlock()
		var head struct{ ResourceType, ID string }
		_ = json.Unmarshal(doc, &head)
		typeOf[head.ID] = head.ResourceType
	})
	f.onItems(func(q query, all resources) resources {
		mu.Lock()
		defer mu.Unlock()
		return keep(all, func(r bulkexport.Resource) bool { return typeOf[idOf(r)] == q.Type })
	})
}

// oldVersions yields whatever was ever put.
func oldVersions(f *faulty, d *DataSet) {
	var mu sync.Mutex
	var log resources
	d.Put = spyPut(d.Put, func(doc []byte) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, bulkexport.Resource{Key: []byte{byte(len(log) + 1)}, JSON: doc})
	})
	f.onItems(func(query, resources) resources { return log })
}

func deletedForGood(f *faulty, d *DataSet) {
	gone, remove := make(map[string]bool), d.Delete
	d.Delete = func(ctx context.Context, tenant, resourceType, id string) error {
		gone[id] = true
		return remove(ctx, tenant, resourceType, id)
	}
	f.onItems(func(_ query, all resources) resources {
		return keep(all, func(r bulkexport.Resource) bool { return !gone[idOf(r)] })
	})
}

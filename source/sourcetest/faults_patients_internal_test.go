package sourcetest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/bulkexport/bulkexport"
)

func whereLimited(change func(*query)) func(*faulty, *DataSet) {
	return func(f *faulty, _ *DataSet) {
		f.onEveryQuery(func(q query) query {
			if q.Patients.Limited {
				change(&q)
			}
			return q
		})
	}
}

func patientFaults() []fault {
	return []fault{
		{"Patients does not limit",
			[]string{
				"patients/some at Patient level", "patients/some at Group level", "patients/nobody",
				"patients/many", "tenants/patients of one tenant", "lookup/some patients",
				"blocks/some patients", "tombstones/some patients", "provenance/some patients",
			},
			whereLimited(func(q *query) { q.Patients = bulkexport.PatientSet{} })},
		{"limited to nobody is not limited",
			[]string{
				"patients/nobody", "lookup/some patients", "blocks/some patients",
				"tombstones/some patients",
			},
			whereLimited(func(q *query) { q.Patients.Limited = len(q.Patients.IDs) > 0 })},
		{"Patients take the place of members",
			[]string{"patients/some at Group level", "tombstones/the last version at Group level"},
			whereLimited(func(q *query) { q.Level = bulkexport.LevelPatient })},
		{"patients are compared without case", []string{"patients/some at Patient level"},
			whereLimited(func(q *query) {
				for _, id := range q.Patients.IDs {
					q.Patients.IDs = append(slices.Clip(q.Patients.IDs), strings.ToUpper(id))
				}
			})},
		{"a thousand patients", []string{"patients/many"},
			whereLimited(func(q *query) { q.Patients.IDs = q.Patients.IDs[:min(1000, len(q.Patients.IDs))] })},
		{"ranges are forgotten where patients are limited", []string{"patients/since, ranges and cuts"},
			whereLimited(func(q *query) { q.After, q.UpTo = nil, nil })},
	}
}

func unknownFaults() []fault {
	const atPatient, atGroup = "patients/unknown at Patient level", "patients/unknown at Group level"
	onScope := func(change func(*bulkexport.Scope)) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.unknown = func(ctx context.Context, s bulkexport.Scope, ids []string) ([]string, error) {
				change(&s)
				return f.Source.UnknownPatients(ctx, s, ids)
			}
		}
	}
	onAnswer := func(change func([]string) []string) func(*faulty, *DataSet) {
		return func(f *faulty, _ *DataSet) {
			f.unknown = func(ctx context.Context, s bulkexport.Scope, ids []string) ([]string, error) {
				ids, err := f.Source.UnknownPatients(ctx, s, ids)
				return change(ids), err
			}
		}
	}
	return []fault{
		{"nobody is unknown", []string{atPatient, atGroup, "patients/unknown when deleted"},
			onAnswer(func([]string) []string { return nil })},
		{"who is unknown is sorted", []string{atPatient, atGroup},
			onAnswer(func(ids []string) []string { return slices.Sorted(slices.Values(ids)) })},
		{"members are any patients", []string{atGroup},
			onScope(func(s *bulkexport.Scope) { s.Level = bulkexport.LevelPatient })},
		{"patients are known in all tenants", []string{"tenants/patients of one tenant"},
			onScope(func(s *bulkexport.Scope) { s.Tenant = "a" })},
		{"deleted patients are known", []string{"patients/unknown when deleted"}, knownForGood},
	}
}

func knownForGood(f *faulty, d *DataSet) {
	var known sync.Map
	d.Put = spyPut(d.Put, func(doc []byte) {
		known.Store(idOf(bulkexport.Resource{JSON: doc}), true)
	})
	f.unknown = func(_ context.Context, _ bulkexport.Scope, ids []string) ([]string, error) {
		return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
			_, ok := known.Load(id)
			return ok
		}), nil
	}
}

package storetest

import (
	"reflect"
	"time"

	"github.com/bulkexport/bulkexport"
)

func timeCases() []testCase {
	return []testCase{
		{Times, "times of another zone come back in UTC", alone(timesInUTC)},
		{Times, "zero times stay zero", alone(timesZero)},
		{Times, "times far away keep their microseconds", alone(timesFar)},
	}
}

// timesOf are all times that a store gives back, by the name of the field.
func timesOf(t tester, s bulkexport.JobStore, id string) map[string]time.Time {
	t.Helper()
	times := make(map[string]time.Time)
	collect := func(name string, at reflect.Value) { times[name] = at.Interface().(time.Time) }
	eachTime(reflect.ValueOf(mustGet(t, s, id)), "Job", collect)
	for _, p := range mustParts(t, s, id, 1) {
		eachTime(reflect.ValueOf(p), "Part", collect)
	}
	return times
}

// createAt stores a job and a part with the same time in all places.
func createAt(t tester, s bulkexport.JobStore, n int, at time.Time) string {
	t.Helper()
	job, part := newJob(n), newPlan(1, "Patient")[0]
	set := func(_ string, field reflect.Value) { field.Set(reflect.ValueOf(at)) }
	eachTime(reflect.ValueOf(&job).Elem(), "", set)
	eachTime(reflect.ValueOf(&part).Elem(), "", set)
	mustCreate(t, s, job)
	mustSetParts(t, s, job.ID, []bulkexport.Part{part})
	return job.ID
}

func timesInUTC(t tester, s bulkexport.JobStore) {
	want := moment()
	id := createAt(t, s, 0, want.In(time.FixedZone("east", 5*60*60+30*60)))
	for name, got := range timesOf(t, s, id) {
		if got.Location() != time.UTC || !got.Equal(want) {
			t.Errorf("%s: a time comes back in UTC, to the microsecond: got %v, want %v", name, got, want)
		}
	}
}

// timesZero includes the zero time of another zone, which is zero too.
func timesZero(t tester, s bulkexport.JobStore) {
	utc := createAt(t, s, 0, time.Time{})
	elsewhere := createAt(t, s, 1, time.Time{}.In(time.FixedZone("west", -8*60*60)))
	for _, id := range []string{utc, elsewhere} {
		for name, got := range timesOf(t, s, id) {
			if !got.IsZero() || got.Location() != time.UTC {
				t.Errorf("%s: the zero time stays zero, in UTC: got %v", name, got)
			}
		}
	}
}

// timesFar are beyond what fits into nanoseconds since 1970, or before 1970,
// where rounding goes the other way.
func timesFar(t tester, s bulkexport.JobStore) {
	for n, want := range []time.Time{
		time.Date(1904, time.February, 29, 23, 59, 59, 999999000, time.UTC),
		time.Date(1969, time.December, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(9999, time.December, 31, 23, 59, 59, 999999000, time.UTC),
	} {
		id := createAt(t, s, n, want)
		for name, got := range timesOf(t, s, id) {
			if !got.Equal(want) {
				t.Errorf("%s: a time keeps its microseconds: got %v, want %v", name, got, want)
			}
		}
	}
}

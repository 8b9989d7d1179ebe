package storetest

import (
	"reflect"
	"strconv"
	"time"

	"github.com/bulkexport/bulkexport"
)

// filler gives every field that it reaches a value of its own that is not
// zero. A kind of field that it does not know fails the case, so that a new
// one is not left out silently.
type filler struct {
	t    tester
	next int
}

// fullJob returns a job with all fields set. Values of different seeds differ
// in all fields but ID and Tenant, which an update may not change.
func fullJob(t tester, n, seed int) bulkexport.Job {
	var job bulkexport.Job
	fillFrom(t, &job, seed)
	job.ID, job.Tenant = jobID(n), "tenant"
	return job
}

// fullPart is fullJob for a part; all but Index are set.
func fullPart(t tester, index, seed int) bulkexport.Part {
	var part bulkexport.Part
	fillFrom(t, &part, seed)
	part.Index = index
	return part
}

func fullPlan(t tester, n int) []bulkexport.Part {
	parts := make([]bulkexport.Part, n)
	for i := range parts {
		parts[i] = fullPart(t, i, 1000*i)
	}
	return parts
}

func fillFrom[V any](t tester, v *V, seed int) {
	f := filler{t: t, next: seed}
	f.fill(reflect.ValueOf(v).Elem())
}

func (f *filler) fill(v reflect.Value) {
	f.next++
	if v.Type() == reflect.TypeFor[time.Time]() {
		zone := time.FixedZone("", 2*60*60)
		v.Set(reflect.ValueOf(moment().Add(time.Duration(f.next) * time.Minute).In(zone)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("value-" + strconv.Itoa(f.next))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.next))
	case reflect.Uint8:
		v.SetUint(v.Uint() ^ uint64(f.next%255+1))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			v.SetMapIndex(f.filled(v.Type().Key()), f.filled(v.Type().Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i))
		}
	default:
		f.t.Fatalf("storetest: does not know how to fill a field of type %s", v.Type())
	}
}

func (f *filler) filled(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	f.fill(v)
	return v
}

// scribble overwrites in place whatever v shares with copies of it that were
// made by assignment.
func scribble[V any](t tester, v *V) {
	f := filler{t: t, next: 500_000}
	f.scribble(reflect.ValueOf(v).Elem())
}

func (f *filler) scribble(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			f.scribble(v.Index(i))
			f.fill(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			v.SetMapIndex(key, f.filled(v.Type().Elem()))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			f.scribble(v.Field(i))
		}
	default: // copied by assignment: fill knows no other kind that is shared
	}
}

// normal returns a copy of v in which all that the contract does not tell
// apart is equal.
func normal[V any](v V) V {
	out := reflect.New(reflect.TypeFor[V]()).Elem()
	normalize(out, reflect.ValueOf(&v).Elem())
	return out.Interface().(V)
}

func normalize(dst, src reflect.Value) {
	switch {
	case src.Type() == reflect.TypeFor[time.Time]():
		dst.Set(reflect.ValueOf(src.Interface().(time.Time).Round(0).UTC()))
	case src.Kind() == reflect.Slice && src.Len() > 0:
		dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
		for i := range src.Len() {
			normalize(dst.Index(i), src.Index(i))
		}
	case src.Kind() == reflect.Map && src.Len() > 0:
		dst.Set(reflect.MakeMap(src.Type()))
		for _, key := range src.MapKeys() {
			dst.SetMapIndex(key, src.MapIndex(key))
		}
	case src.Kind() == reflect.Slice, src.Kind() == reflect.Map:
	case src.Kind() == reflect.Struct:
		for i := range src.NumField() {
			normalize(dst.Field(i), src.Field(i))
		}
	default:
		dst.Set(src)
	}
}

// eachTime calls fn with every time that v holds directly, and its name.
func eachTime(v reflect.Value, name string, fn func(name string, at reflect.Value)) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		fn(name, v)
		return
	}
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		eachTime(v.Field(i), name+"."+v.Type().Field(i).Name, fn)
	}
}

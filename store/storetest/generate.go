package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/bulkexport/bulkexport"
)

// sequence is calls one after the other.
type sequence []randomCall

// GoString is what rapid shows.
func (s sequence) GoString() string {
	var text strings.Builder
	for i, c := range s {
		fmt.Fprintf(&text, "\n%4d. %s", i+1, c)
	}
	return text.String()
}

// oftener has each method as often as it is worth.
func oftener() []method {
	return []method{
		callCreate, callCreate, callPlan, callPlan, callJob, callParts, callParts, callList, callDelete,
		callUpdate, callUpdate, callUpdate, callUpdatePart, callUpdatePart, callUpdatePart,
	}
}

// drawing draws calls. It holds what is costly to find out.
type drawing struct {
	methods               []method
	jobFields, partFields []field
}

func draw(methods []method) drawing { return drawing{methods, jobFields(), partFields()} }

// sequences has as many calls as rapid's flag "steps" says. Calls on the rival,
// and on what is reopened, come only where there are two stores.
func sequences(twoStores bool) *rapid.Generator[sequence] {
	methods := oftener()
	if twoStores {
		methods = append(slices.Repeat(methods, 4), callReopen)
	}
	d := draw(methods)
	return rapid.Custom(func(t *rapid.T) sequence {
		var calls sequence
		t.Repeat(map[string]func(*rapid.T){"call": func(t *rapid.T) {
			c := d.call(t)
			c.rival = twoStores && c.method != callReopen && rapid.Bool().Draw(t, "rival")
			calls = append(calls, c)
		}})
		return calls
	})
}

func (d drawing) call(t *rapid.T) randomCall {
	c := randomCall{method: rapid.SampledFrom(d.methods).Draw(t, "method"), after: -1}
	if c.method != callList && c.method != callReopen {
		c.job = rapid.IntRange(0, jobsPerSeries-1).Draw(t, "job")
	}
	switch c.method {
	case callCreate:
		c.tenant = rapid.SampledFrom(fewTenants()).Draw(t, "tenant")
		c.edits = drawEdits(t, d.jobFields)
	case callUpdate:
		c.edits = drawEdits(t, d.jobFields)
		c.refuse = drawRefusal(t)
	case callUpdatePart:
		c.part = rapid.IntRange(0, 2).Draw(t, "part")
		c.edits = drawEdits(t, d.partFields)
		c.refuse = drawRefusal(t)
	case callPlan:
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			c.plan = append(c.plan, drawEdits(t, d.partFields))
		}
	case callList:
		c.filter = drawFilter(t)
		c.after = rapid.IntRange(-1, jobsPerSeries-1).Draw(t, "after")
	case callJob, callDelete, callParts, callReopen:
	}
	return c
}

func drawRefusal(t *rapid.T) bool { return rapid.IntRange(0, 3).Draw(t, "refuse") == 3 }

func drawFilter(t *rapid.T) bulkexport.JobFilter {
	var f bulkexport.JobFilter
	sometimes := func(what string) bool { return rapid.IntRange(0, 2).Draw(t, what) == 2 }
	if sometimes("by state") {
		f.States = rapid.SliceOfN(rapid.SampledFrom(states()), 1, 3).Draw(t, "states")
	}
	if sometimes("by expiry") {
		f.ExpiredBy = rapid.SampledFrom(moments()).Draw(t, "expiredBy")
	}
	if sometimes("limited") {
		f.Limit = rapid.IntRange(1, 3).Draw(t, "limit")
	}
	if sometimes("by tenant") {
		tenant := rapid.SampledFrom(fewTenants()).Draw(t, "tenant")
		f.Tenant = &tenant
	}
	return f
}

// drawEdits takes every second time one of the fields that other calls go by, if
// there are such.
func drawEdits(t *rapid.T, all []field) []edit {
	var edits []edit
	decisive := slices.DeleteFunc(slices.Clone(all), func(f field) bool {
		return f.name != "State" && f.name != "ExpiresAt"
	})
	for range rapid.IntRange(0, 3).Draw(t, "edits") {
		of := all
		if len(decisive) > 0 && rapid.Bool().Draw(t, "decisive") {
			of = decisive
		}
		f := rapid.SampledFrom(of).Draw(t, "field")
		edits = append(edits, edit{f, drawValue(t, f.typ)})
	}
	return edits
}

// drawValue knows the kinds of fields that filler knows.
func drawValue(t *rapid.T, typ reflect.Type) reflect.Value {
	v := reflect.New(typ).Elem()
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(rapid.SampledFrom(moments()).Draw(t, "time")))
		return v
	case bulkexport.JobState:
		v.SetString(string(rapid.SampledFrom(states()).Draw(t, "state")))
		return v
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(drawString(t))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int:
		v.SetInt(int64(rapid.Int().Draw(t, "int")))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int64"))
	case reflect.Uint8:
		v.SetUint(uint64(rapid.Byte().Draw(t, "byte")))
	case reflect.Slice:
		if n := rapid.IntRange(-1, 2).Draw(t, "length"); n >= 0 {
			v.Set(reflect.MakeSlice(typ, n, n))
		}
		for i := range v.Len() {
			v.Index(i).Set(drawValue(t, typ.Elem()))
		}
	case reflect.Map:
		if n := rapid.IntRange(-1, 2).Draw(t, "length"); n >= 0 {
			v.Set(reflect.MakeMap(typ))
			for range n {
				v.SetMapIndex(drawValue(t, typ.Key()), drawValue(t, typ.Elem()))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			v.Field(i).Set(drawValue(t, typ.Field(i).Type))
		}
	default:
		t.Fatalf("storetest: does not know how to draw a field of type %s", typ)
	}
	return v
}

// drawString returns UTF-8 without NUL.
func drawString(t *rapid.T) string {
	if rapid.Bool().Draw(t, "any") {
		return strings.ReplaceAll(strings.ToValidUTF8(rapid.String().Draw(t, "string"), ""), "\x00", "")
	}
	return rapid.SampledFrom(tenants()).Draw(t, "string")
}

// fewTenants are few enough for two jobs to have the same.
func fewTenants() []string { return []string{"", "a", "A", "a "} }

// states begin with the one that a smaller sequence ends up with.
func states() []bulkexport.JobState {
	return []bulkexport.JobState{
		bulkexport.JobRunning, bulkexport.JobAccepted, bulkexport.JobCompleted, bulkexport.JobFailed,
		bulkexport.JobDeleted,
	}
}

// moments are few enough for an expiry to be just the bound of a filter.
func moments() []time.Time {
	at := moment()
	return []time.Time{
		{}, at, at.Add(time.Microsecond), at.Add(-time.Microsecond), at.In(time.FixedZone("", 5*60*60)),
		time.Date(1969, time.December, 31, 23, 59, 59, 999999000, time.UTC),
		time.Date(9999, time.December, 31, 23, 59, 59, 999999000, time.UTC),
	}
}

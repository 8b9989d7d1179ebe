package storetest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

// edit sets one field of a job or a part. Nobody writes into its value.
type edit struct {
	field field
	value reflect.Value
}

// field is a field that holds no other fields, wherever it is in the struct.
type field struct {
	name  string
	index []int
	typ   reflect.Type
}

func (e edit) String() string { return e.field.name + "=" + describe(e.value.Interface()) }

func apply[V bulkexport.Job | bulkexport.Part](edits []edit, v *V) {
	for _, e := range edits {
		reflect.ValueOf(v).Elem().FieldByIndex(e.field.index).Set(e.value)
	}
}

// jobFields and partFields are all that an update may change, found by
// reflection.
func jobFields() []field { return fieldsOf(reflect.TypeFor[bulkexport.Job](), "ID", "Tenant") }

func partFields() []field { return fieldsOf(reflect.TypeFor[bulkexport.Part](), "Index") }

func fieldsOf(t reflect.Type, except ...string) []field {
	var all []field
	for f := range fields(t) {
		if !slices.Contains(except, f.name) {
			all = append(all, f)
		}
	}
	return all
}

// fields yields the fields of a struct and of the structs in it.
func fields(t reflect.Type) func(yield func(field) bool) {
	return func(yield func(field) bool) {
		for i := range t.NumField() {
			f := field{t.Field(i).Name, []int{i}, t.Field(i).Type}
			if f.typ.Kind() != reflect.Struct || f.typ == reflect.TypeFor[time.Time]() {
				if !yield(f) {
					return
				}
				continue
			}
			for inner := range fields(f.typ) {
				inner.name = f.name + "." + inner.name
				inner.index = append([]int{i}, inner.index...)
				if !yield(inner) {
					return
				}
			}
		}
	}
}

// describe shows a value within a line.
func describe(v any) string {
	var text string
	switch v := v.(type) {
	case time.Time:
		text = v.Format(time.RFC3339Nano)
	case []byte:
		text = fmt.Sprintf("%q", v)
	default:
		text = asJSON(v)
	}
	if value := reflect.ValueOf(v); value.Kind() == reflect.Slice && value.IsNil() {
		text = "nil"
	}
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:60]) + "…"
	}
	return text
}

// describeSet shows the fields that are set, but for those which are the same
// in all answers.
func describeSet[V bulkexport.Job | bulkexport.Part](v V) string {
	var set []string
	for f := range fields(reflect.TypeFor[V]()) {
		value := reflect.ValueOf(v).FieldByIndex(f.index)
		if !value.IsZero() && f.name != "ID" && f.name != "Tenant" {
			set = append(set, edit{f, value}.String())
		}
	}
	return "{" + strings.Join(set, " ") + "}"
}

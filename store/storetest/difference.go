package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/bulkexport/bulkexport"
)

// expected are the errors that calls of the contract are answered with.
func expected() []error {
	return []error{bulkexport.ErrJobExists, bulkexport.ErrJobNotFound, bulkexport.ErrPartNotFound, errRefused}
}

// isAnswer tells an error of the contract from one of the store.
func isAnswer(err error) bool {
	if err == nil {
		return true
	}
	for _, want := range expected() {
		if errors.Is(err, want) {
			return true
		}
	}
	return false
}

// difference says where an answer is not the one of the model; empty if
// nowhere.
func difference(got, want answer) string {
	if got.err == nil && want.err != nil || got.err != nil && (want.err == nil || !errors.Is(got.err, want.err)) {
		return fmt.Sprintf("got %s, want %s", describeError(got.err), describeError(want.err))
	}
	for _, part := range []struct {
		name      string
		got, want any
	}{
		{"fn saw job", got.sawJobs, want.sawJobs},
		{"fn saw part", got.sawParts, want.sawParts},
		{"job", got.jobs, want.jobs},
		{"part", got.parts, want.parts},
	} {
		if diff := listDifference(part.name, reflect.ValueOf(part.got), reflect.ValueOf(part.want)); diff != "" {
			return diff
		}
	}
	return ""
}

func describeError(err error) string {
	if err == nil {
		return "no error"
	}
	return "error: " + err.Error()
}

func listDifference(name string, got, want reflect.Value) string {
	if got.Len() != want.Len() {
		return fmt.Sprintf("%ss: got %d, want %d", name, got.Len(), want.Len())
	}
	for i := range got.Len() {
		if same(got.Index(i), want.Index(i)) {
			continue
		}
		at := name
		if got.Len() > 1 {
			at = fmt.Sprintf("%s %d of %d", name, i+1, got.Len())
		}
		for f := range fields(got.Index(i).Type()) {
			g, w := got.Index(i).FieldByIndex(f.index), want.Index(i).FieldByIndex(f.index)
			if !same(g, w) {
				return fmt.Sprintf("%s, %s: got %s, want %s",
					at, f.name, describe(g.Interface()), describe(w.Interface()))
			}
		}
	}
	return ""
}

// same compares what a store returned with what it was given, as strictly as
// the contract does: a nil slice stays nil, while an empty one may become nil;
// a time is the same moment, in UTC.
func same(got, want reflect.Value) bool {
	switch {
	case got.Type() == reflect.TypeFor[time.Time]():
		at := got.Interface().(time.Time)
		return at.Equal(want.Interface().(time.Time)) && at.Location() == time.UTC
	case got.Kind() == reflect.Slice:
		if got.Len() != want.Len() || want.IsNil() && !got.IsNil() {
			return false
		}
		for i := range got.Len() {
			if !same(got.Index(i), want.Index(i)) {
				return false
			}
		}
		return true
	case got.Kind() == reflect.Map:
		return got.Len() == 0 && want.Len() == 0 || reflect.DeepEqual(got.Interface(), want.Interface())
	case got.Kind() == reflect.Struct:
		for i := range got.NumField() {
			if !same(got.Field(i), want.Field(i)) {
				return false
			}
		}
		return true
	default:
		return got.Equal(want)
	}
}

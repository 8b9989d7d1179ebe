package memsource_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func query(resourceType string) bulkexport.Query {
	return bulkexport.Query{
		Scope: bulkexport.Scope{Level: bulkexport.LevelSystem},
		Type:  resourceType,
	}
}

func read(t *testing.T, src *memsource.Source, q bulkexport.Query) []string {
	t.Helper()
	found := []string{}
	for r, err := range src.Resources(t.Context(), q) {
		require.NoError(t, err)
		found = append(found, string(r.JSON))
	}
	return found
}

func TestPutRefusesWhatCannotBeExported(t *testing.T) {
	t.Parallel()
	for name, resource := range map[string]string{
		"nothing":        ``,
		"not JSON":       `{"resourceType":"Patient","id":"1"`,
		"two values":     `{"resourceType":"Patient","id":"1"}{}`,
		"no object":      `["Patient"]`,
		"no type":        `{"id":"1"}`,
		"no id":          `{"resourceType":"Patient"}`,
		"an invalid id":  `{"resourceType":"Patient","id":"a/b"}`,
		"a numeric id":   `{"resourceType":"Patient","id":1}`,
		"an invalid day": `{"resourceType":"Patient","id":"1","meta":{"lastUpdated":"today"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := memsource.New(memsource.Config{})
			_, err := src.Put("", []byte(resource))
			require.ErrorContains(t, err, "memsource: put: ")
			require.Empty(t, read(t, src, query("Patient")))
		})
	}
}

func TestPutCopies(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{})
	resource := []byte(`{"resourceType":"Patient","id":"1"}`)
	_, err := src.Put("", resource)
	require.NoError(t, err)
	want := []string{string(resource)}
	resource[2] = 'X'
	require.Equal(t, want, read(t, src, query("Patient")))
}

func TestDeleteOfWhatIsAbsent(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{})
	src.Delete("", "Patient", "p")
	put(t, src, patient)
	src.Delete("other", "Patient", "p")
	src.Delete("", "Patient", "q")
	require.Equal(t, []string{patient}, read(t, src, query("Patient")))
}

func TestClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 999_999, time.FixedZone("", 3600))
	src := memsource.New(memsource.Config{Now: func() time.Time { return now }})
	start := now.UTC().Truncate(time.Millisecond)
	put := func() time.Time {
		updated, err := src.Put("", []byte(`{"resourceType":"Patient","id":"1"}`))
		require.NoError(t, err)
		return updated
	}
	cut := func() time.Time {
		at, err := src.TransactionTime(t.Context(), "")
		require.NoError(t, err)
		return at
	}

	require.Equal(t, start, put(), "whole milliseconds, in UTC")
	require.Equal(t, start, cut(), "what was just put is included")
	require.Equal(t, start.Add(time.Millisecond), put(), "what comes after a cut is later")
	require.Equal(t, start.Add(time.Millisecond), put(), "and no later than it must be")
	require.Equal(t, start.Add(time.Millisecond), cut())

	now = now.Add(-time.Hour)
	require.Equal(t, start.Add(2*time.Millisecond), put(), "a clock set back changes nothing")
	now = now.Add(2 * time.Hour)
	require.Equal(t, start.Add(time.Hour), put())
}

func TestBaseURLs(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{BaseURLs: []string{"https://ehr.example/fhir"}})
	const (
		own = `{"resourceType":"Flag","id":"1",` +
			`"subject":{"reference":"https://ehr.example/fhir/Patient/p"}}`
		foreign = `{"resourceType":"Flag","id":"2",` +
			`"subject":{"reference":"https://other.example/fhir/Patient/p"}}`
	)
	for _, resource := range []string{own, foreign} {
		_, err := src.Put("", []byte(resource))
		require.NoError(t, err)
	}
	q := query("Flag")
	q.Level = bulkexport.LevelPatient
	require.Equal(t, []string{own}, read(t, src, q))
}

func TestUnknownLevel(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{})
	scope := bulkexport.Scope{Level: "practitioner"}
	_, err := src.Types(t.Context(), scope)
	require.ErrorContains(t, err, `memsource: types: export level "practitioner" is not supported`)
	for _, err := range src.Resources(t.Context(), bulkexport.Query{Scope: scope, Type: "Patient"}) {
		require.ErrorContains(t, err, "not supported")
	}
}

func TestCountAndSplitAreExact(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{})
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		_, err := src.Put("", []byte(`{"resourceType":"Patient","id":"`+id+`"}`))
		require.NoError(t, err)
	}
	q := query("Patient")
	n, err := src.Count(t.Context(), q)
	require.NoError(t, err)
	require.EqualValues(t, 7, n)

	cuts, err := src.Split(t.Context(), q, 3)
	require.NoError(t, err)
	var sizes []int64
	for _, cut := range append(cuts, nil) {
		q.UpTo = cut
		n, err := src.Count(t.Context(), q)
		require.NoError(t, err)
		sizes = append(sizes, n)
		q.After = cut
	}
	require.Equal(t, []int64{3, 3, 1}, sizes)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	const (
		a = `{"resourceType":"Patient","id":"a"}`
		b = `{"resourceType":"Patient","id":"b", "multipleBirthInteger":1.0}`
	)
	long := `{"resourceType":"Basic","id":"c","x":"` + strings.Repeat("x", 1<<20) + `"}`
	src := memsource.New(memsource.Config{})
	n, err := src.Load(t.Context(), "t", strings.NewReader(a+"\n\n"+b+"\r\n"+long))
	require.NoError(t, err)
	require.Equal(t, 3, n)

	q := query("Patient")
	q.Tenant = "t"
	require.Equal(t, []string{a, b}, read(t, src, q))
	q.Type = "Basic"
	require.Equal(t, []string{long}, read(t, src, q))
}

func TestLoadErrors(t *testing.T) {
	t.Parallel()
	const good = `{"resourceType":"Patient","id":"a"}` + "\n"
	broken := errors.New("broken pipe")
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		ctx    context.Context
		r      io.Reader
		loaded int
		want   string
	}{
		"a bad line": {
			t.Context(), strings.NewReader(good + "\n" + "{}\n" + good), 1,
			"memsource: load: line 3: memsource: put: ",
		},
		"a reader that fails": {
			t.Context(), io.MultiReader(bytes.NewReader([]byte(good)), iotest.ErrReader(broken)), 1,
			"memsource: load: line 2: broken pipe",
		},
		"a cancelled context": {
			cancelled, strings.NewReader(good), 0, "memsource: load: context canceled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := memsource.New(memsource.Config{}).Load(tt.ctx, "", tt.r)
			require.ErrorContains(t, err, tt.want)
			require.Equal(t, tt.loaded, n)
		})
	}
}

package conformance_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func consistencyChecks() []check {
	return []check{
		{
			title: "transactionTime is fixed before the first read, and bounds every read",
			ids:   ids("M-01", "M-02", "T-05", "T-06", "W-48", "W-56"), run: checkTransactionTime,
		},
		{
			title: "a chain of exports with writers at work has every change once",
			ids:   ids("M-03", "T-05", "W-48", "W-55"), run: checkChain,
		},
		{
			title: "transactionTime is rounded down to milliseconds",
			ids:   ids("T-05", "R-26"), run: checkRounding,
		},
		{
			title: "a source without old versions shows newer ones, and the manifest says so",
			ids:   ids("T-06"), run: checkBounded,
		},
	}
}

func checkTransactionTime(t *testing.T) {
	before, entered, release := held(`"Patient"`)
	k := start(t, setup{before: before, data: ward()})
	defer release()
	at := k.clock.read()
	job := k.kickOff("/$export")
	<-entered
	k.put("Patient/new", `Observation/a1 "status":"amended",`+subject("a"), "Observation/new "+subject("a"))
	k.remove("Patient/c", "ValueSet/v")
	release()
	e := k.finish(job)
	require.Equal(t, at, e.TransactionTime)
	require.Equal(t, everything(), e.names())
	require.Contains(t, e.line("Observation/a1"), `"status":"final"`)

	next := k.export("/$export?_since=" + stamp(e.TransactionTime))
	require.Equal(t, []string{"Observation/a1", "Observation/new", "Patient/new"}, next.names())
	require.Equal(t, []string{"Patient/c", "ValueSet/v"}, k.deletions(next))
}

// checkChain exports what changed since the last time, again and again, while
// each read of a resource brings another change.
func checkChain(t *testing.T) {
	const changes = 100
	written := make(chan int, changes)
	var k *server
	k = start(t, setup{core: bulkexport.Config{MaxFileResources: 20}, before: func(context.Context, []byte) error {
		select {
		case i := <-written:
			k.put(fmt.Sprintf("Observation/%03d", i))
		default:
		}
		return nil
	}})
	k.put("Observation/first", "Patient/first")
	want := []string{"Observation/first", "Patient/first"}
	for i := range changes {
		written <- i
		want = append(want, fmt.Sprintf("Observation/%03d", i))
	}
	e := k.export("/$export")
	seen := e.names()
	exports := 0
	for found := seen; len(found) > 0; exports++ {
		e = k.export("/$export?_since=" + stamp(e.TransactionTime))
		found = e.names()
		seen = append(seen, found...)
	}
	require.Greater(t, exports, 3)
	require.Equal(t, sorted(want...), sorted(seen...))
}

// preciseSource has a clock of nanoseconds.
type preciseSource struct {
	*memsource.Source
	at time.Time
}

func (s preciseSource) TransactionTime(context.Context, string) (time.Time, error) { return s.at, nil }

func checkRounding(t *testing.T) {
	at := time.Date(2026, 1, 31, 8, 0, 0, 5_999_999, time.FixedZone("", 3600))
	k := start(t, setup{core: bulkexport.Config{Source: preciseSource{memsource.New(memsource.Config{}), at}}})
	require.Equal(t, "2026-01-31T07:00:00.005Z", k.object(k.export("/$export").complete.body)["transactionTime"])
}

// currentSource has current versions only.
type currentSource struct{ *memsource.Source }

func (s currentSource) Consistency() bulkexport.Consistency { return bulkexport.Bounded }

func (s currentSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	q.AsOf = time.Time{}
	return s.Source.Resources(ctx, q)
}

// changingSource changes a resource when it is about to be read.
type changingSource struct {
	currentSource
	change func()
}

func (s changingSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	s.change()
	return s.currentSource.Resources(ctx, q)
}

func checkBounded(t *testing.T) {
	source := memsource.New(memsource.Config{})
	put := func(gender string) {
		_, err := source.Put("", fmt.Appendf(nil, `{"resourceType":"Patient","id":"a","gender":%q}`, gender))
		require.NoError(t, err)
	}
	put("male")
	k := start(t, setup{core: bulkexport.Config{
		Source: changingSource{currentSource{source}, func() { put("female") }},
	}})
	e := k.export("/$export")
	require.Equal(t, "bounded", extension(e.Extension, "consistency"))
	require.Contains(t, e.line("Patient/a"), "female")
	again := k.export("/$export?_since=" + stamp(e.TransactionTime))
	require.Equal(t, []string{"Patient/a"}, again.names(), "it is not lost to the next one")
}

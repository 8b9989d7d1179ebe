package bulkexport_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// plannedSource notes what a plan asks for.
type plannedSource struct {
	countingSource
	counted, split []string
}

func (s *plannedSource) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	s.counted = append(s.counted, q.Type)
	return s.countingSource.Count(ctx, q)
}

func (s *plannedSource) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	s.split = append(s.split, q.Type)
	return s.countingSource.Split(ctx, q, size)
}

// A count may pass all that it counts, and a split counts too.
func TestPlanCountsEachTypeOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		lists := slow(newListSource(map[string]int{"Condition": 50, "Observation": 120, "Patient": 25}))
		source := &plannedSource{countingSource: countingSource{lists}}
		k := newKit(t, bulkexport.Config{Source: source, MaxFileResources: 50})
		k.start()
		defer k.stop()
		id := k.kickOff()
		pass(2 * time.Second)
		require.EqualValues(t, 195, k.status(id).Progress.Total, "parts share what was counted")
		k.wait(id)
		require.Equal(t, []string{"Condition", "Observation", "Patient"}, source.counted)
		require.Equal(t, []string{"Observation"}, source.split, "the others fit one file")
		var counts []int64
		for _, file := range k.status(id).Files {
			counts = append(counts, file.Count)
		}
		require.Equal(t, []int64{50, 40, 40, 40, 25}, counts, "ranges are equal")
		require.Equal(t, lists.all("Condition", "Observation", "Patient"), k.lines(id))
	})
}

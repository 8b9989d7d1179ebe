package memsource_test

import (
	"context"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/source/sourcetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	sourcetest.Run(t, sourcetest.Harness{Open: open})
}

// open leaves Reopen out: the data ends with the source.
func open(*testing.T) sourcetest.DataSet {
	src := memsource.New(memsource.Config{})
	return sourcetest.DataSet{
		Source: src,
		Put: func(
			_ context.Context, tenant string, resources ...[]byte,
		) (updated time.Time, err error) {
			for _, resource := range resources {
				if updated, err = src.Put(tenant, resource); err != nil {
					return time.Time{}, err
				}
			}
			return updated, nil
		},
		Delete: func(_ context.Context, tenant, resourceType, id string) error {
			src.Delete(tenant, resourceType, id)
			return nil
		},
	}
}

package memsink_test

import (
	"testing"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/sink/sinktest"
)

func TestSink(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, sinktest.Harness{
		Open: func(*testing.T) bulkexport.OutputSink { return memsink.New() },
	})
}

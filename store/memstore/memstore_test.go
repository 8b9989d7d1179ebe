package memstore_test

import (
	"testing"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/store/memstore"
	"github.com/bulkexport/bulkexport/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Harness{
		Open: func(*testing.T) bulkexport.JobStore { return memstore.New() },
	})
}

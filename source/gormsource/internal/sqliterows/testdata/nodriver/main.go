// Program nodriver has no SQLite.
package main

import (
	"context"
	"fmt"

	"github.com/bulkexport/bulkexport/source/gormsource/internal/sqliterows"
)

func main() {
	_, ok := sqliterows.Of(new(int))
	_, err := sqliterows.Conn{}.Read(context.Background(), "SELECT 1, 2", nil, 1, new(sqliterows.Batch))
	fmt.Printf("%q %v %v", sqliterows.SourceID(), ok, err)
}

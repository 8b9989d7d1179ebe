package faulttest

import (
	"context"
	"slices"

	"github.com/bulkexport/bulkexport"
)

// orphansAreRemoved says whether exporters remove files that belong to no
// export before that is deleted, and those of exports that they know nothing of
// any more. As long as they do not, files are looked for after the deletion only,
// and a process that goes on after it is spared further faults: dying between
// writing a file and learning that it comes too late, it would leave that file.
const orphansAreRemoved = false

// checkOrphans looks whether the sink has files that completed exports do not.
func (r *run) checkOrphans() error {
	if !orphansAreRemoved || r.client.isDeleted() {
		return nil
	}
	return r.checkInventory([]string{r.client.id}, r.got.stored)
}

// checkInventory asks the sink itself, where it can tell, whether it has other
// files of exports than these.
func (r *run) checkInventory(exports, files []string) error {
	inventory, ok := r.apart.Sink.(bulkexport.SinkInventory)
	if !ok {
		return nil
	}
	for _, id := range exports {
		for file, err := range inventory.Files(context.Background(), id) {
			if err != nil || !slices.Contains(files, file.Name) {
				return broken(Clean, "the sink still has %s, or cannot tell: %v", file.Name, err)
			}
		}
	}
	return nil
}

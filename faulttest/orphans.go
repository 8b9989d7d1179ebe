package faulttest

import (
	"context"
	"slices"

	"github.com/bulkexport/bulkexport"
)

// checkOrphans looks whether the sink has files that the export does not, once
// somebody has cleaned up.
func (r *run) checkOrphans() error {
	if err := r.cleanUp(); err != nil || r.client.isDeleted() {
		return err
	}
	return r.checkInventory([]string{r.client.id}, r.got.stored)
}

// cleanUpLater cleans up when even the files of exports that the store does not
// know any more have to go.
func (r *run) cleanUpLater() error {
	r.clock.move(r.cfg.TTL)
	return r.cleanUp()
}

// cleanUp has a process clean up, where the sink can tell what it has.
func (r *run) cleanUp() error {
	if _, ok := r.apart.Sink.(bulkexport.SinkInventory); !ok {
		return nil
	}
	var last error
	for range maxTries {
		m, err := r.worker()
		if err != nil {
			return err
		}
		last = m.do(func() error {
			_, err := m.exporter.CleanUp(context.Background())
			return err
		})
		if last == nil {
			return nil
		}
	}
	return broken(Clean, "no clean-up succeeds: %v", last)
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

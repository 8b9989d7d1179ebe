package gormsource_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/source/gormsource"
	"github.com/bulkexport/bulkexport/source/sourcetest"
)

func testRepositoryConformance(t *testing.T, open database) {
	db := open(t)
	repo := newRepository(t, db)
	sourcetest.Run(t, sourcetest.Harness{Open: func(t *testing.T) sourcetest.DataSet {
		empty(t, db, "bulkexport_resources", "bulkexport_compartment", "bulkexport_targets")
		return sourcetest.DataSet{
			Source: repo,
			Put: func(ctx context.Context, tenant string, resources ...[]byte) (time.Time, error) {
				return putOrLoad(ctx, db, repo, tenant, resources)
			},
			Delete: repo.Delete,
			Block: blocking(db, "bulkexport_resources", "bulkexport_compartment", "bulkexport_targets",
				"bulkexport_clock"),
			Reopen: func(t *testing.T) bulkexport.ResourceSource { return newRepository(t, db) },
		}
	}})
}

func testTablesConformance(t *testing.T, open database) {
	db := open(t)
	host := newHospital(t, db)
	sourcetest.Run(t, sourcetest.Harness{Open: func(t *testing.T) sourcetest.DataSet {
		empty(t, db, "patients", "observations", "others")
		return sourcetest.DataSet{
			Source: newTables(t, db, hospitalTables()...),
			Put:    host.put,
			Delete: host.delete,
			Block:  blocking(db, "patients", "observations", "others"),
			Reopen: func(t *testing.T) bulkexport.ResourceSource {
				return newTables(t, db, hospitalTables()...)
			},
		}
	}})
}

// blocking locks tables, where that is possible: not on SQLite.
func blocking(db *gorm.DB, tables ...string) func(context.Context) (func(), error) {
	if db.Name() != "postgres" {
		return nil
	}
	return func(ctx context.Context) (func(), error) {
		tx := db.WithContext(context.WithoutCancel(ctx)).Begin()
		err := tx.Exec("LOCK TABLE " + strings.Join(tables, ", ") + " IN ACCESS EXCLUSIVE MODE").Error
		return func() { tx.Rollback() }, err
	}
}

// empty is faster than new tables, and than new connections on PostgreSQL.
func empty(t *testing.T, db *gorm.DB, tables ...string) {
	t.Helper()
	for _, table := range tables {
		require.NoError(t, db.Exec("DELETE FROM "+table).Error)
	}
}

// putOrLoad loads where there is much to put.
func putOrLoad(
	ctx context.Context, db *gorm.DB, repo *gormsource.Repository, tenant string, resources [][]byte,
) (updated time.Time, err error) {
	if len(resources) < 10 {
		for _, resource := range resources {
			if updated, err = repo.Put(ctx, tenant, resource); err != nil {
				return time.Time{}, err
			}
		}
		return updated, nil
	}
	n, err := repo.Load(ctx, tenant, bytes.NewReader(bytes.Join(resources, []byte("\n"))), gormsource.LoadOptions{})
	if err != nil || n != int64(len(resources)) {
		return time.Time{}, errors.Join(err, fmt.Errorf("loaded %d of %d", n, len(resources)))
	}
	last, err := fhir.Identify(resources[len(resources)-1])
	if err != nil {
		return time.Time{}, err
	}
	var micros int64
	err = db.WithContext(ctx).Table("bulkexport_resources").Where("id = ?", last.ID).
		Select("max(last_updated)").Scan(&micros).Error
	return time.UnixMicro(micros).UTC(), err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

// document is a table as hosts have them.
type document struct {
	ID           int64  `gorm:"primaryKey;index:document_order,priority:3"`
	TenantID     string `gorm:"index:document_order,priority:1"`
	ResourceType string `gorm:"index:document_order,priority:2"`
	LastUpdated  time.Time
	DeletedAt    *time.Time
	Body         string
}

func hostTable() gormsource.Table {
	return gormsource.Table{
		Name: "documents", TypeColumn: "resource_type", TenantColumn: "tenant_id", KeyColumn: "id",
		BodyColumn: "body", LastUpdatedColumn: "last_updated",
		Scope: func(db *gorm.DB) *gorm.DB { return db.Where("deleted_at IS NULL") },
	}
}

// hostExperiments measure exports of a table of the host against what is written
// by hand first: structs in batches, and an encoder of JSON.
func hostExperiments() []experiment {
	of := func(what string, limit float64) []goal {
		return []goal{{
			number: 4, what: "table of a host, " + what, reference: "gorm.FindInBatches(1000), json.Encoder",
			unit: "s", figureUnit: "× faster", atLeast: true, limit: limit,
		}}
	}
	onSQLite := onDatabase(of("SQLite", 3), func(ctx context.Context, b *bench) (string, error) {
		return b.database(ctx, fmt.Sprintf("documents-%d.db", b.documents()), func(db *gorm.DB) error {
			return documents(ctx, db, b.documents())
		})
	}, againstStructs)
	onPostgres := onDatabase(of("PostgreSQL", 2), func(ctx context.Context, b *bench) (string, error) {
		return b.databaseOnPostgres(ctx, fmt.Sprintf("documents_%d", b.documents()), func(db *gorm.DB) error {
			return documents(ctx, db, b.documents())
		})
	}, againstStructs)
	onPostgres.lacking = lackingPostgres
	return []experiment{onSQLite, onPostgres}
}

// documents is how many rows the table has: the reference is slow.
func (b *bench) documents() int { return b.resources / 5 }

// documents fills the table, in the order of the ids.
func documents(ctx context.Context, db *gorm.DB, n int) error {
	db = db.WithContext(ctx)
	if err := db.AutoMigrate(&document{}); err != nil {
		return err
	}
	var batch []document
	decoder := json.NewDecoder(generate(n))
	for id := int64(1); decoder.More(); id++ {
		var body json.RawMessage
		var resource struct {
			ResourceType string
			Meta         struct{ LastUpdated time.Time }
		}
		if err := decoder.Decode(&body); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &resource); err != nil {
			return err
		}
		batch = append(batch, document{
			ID: id, ResourceType: resource.ResourceType, LastUpdated: resource.Meta.LastUpdated, Body: string(body),
		})
		if len(batch) < 1000 && decoder.More() {
			continue
		}
		if err := db.CreateInBatches(batch, 100).Error; err != nil {
			return err
		}
		batch = batch[:0]
	}
	return nil
}

func againstStructs(ctx context.Context, r *round, export task) ([]measurement, error) {
	export.Source.Kind = "tables"
	byHand := export
	byHand.Do = "structs"
	compare := func(folder string) error {
		if !r.first() {
			return nil
		}
		_, err := r.run(ctx, export, func(exported string) error {
			return same(filepath.Join(folder, structsFile), unescaped, exported)
		})
		return err
	}
	slow, fast, err := sides(r,
		func() (cost, error) {
			out, err := r.run(ctx, byHand, compare)
			return out.cost(), err
		},
		func() (cost, error) { return r.exported(ctx, export, r.documents()) },
	)
	m := ratioOf(slow, fast)
	m.figure = slow.wall / fast.wall
	return []measurement{m}, err
}

const structsFile = "documents"

// structs is what a host would do first.
func structs(ctx context.Context, t task) (out outcome, err error) {
	db, err := t.Source.openDatabase()
	if err != nil {
		return outcome{}, err
	}
	defer closeDatabase(db, &err)
	file, err := os.Create(filepath.Join(t.Folder, structsFile))
	if err != nil {
		return outcome{}, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	watch := newStopwatch()
	encoder := json.NewEncoder(file)
	var rows []document
	err = db.WithContext(ctx).Where("deleted_at IS NULL").FindInBatches(&rows, 1000, func(*gorm.DB, int) error {
		for i := range rows {
			if err := encoder.Encode(json.RawMessage(rows[i].Body)); err != nil {
				return err
			}
			out.Resources++
		}
		return nil
	}).Error
	out.took(watch)
	return out, err
}

package gormsource_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// hospital is a host with tables of its own. It sets last updates within the
// transaction that writes, so that no lag is needed.
type hospital struct {
	db *gorm.DB
	// kept tells in which table a type is kept.
	kept func(resourceType string) wards
	// rows counts what was inserted.
	rows *atomic.Int64
}

// wards is a table, with the names of its columns.
type wards struct {
	name                                       string
	tenant, kind, id, key, body, changed, gone string
	// stamp makes what the column of last updates holds.
	stamp func(time.Time) any
	// unit is what the column tells apart.
	unit time.Duration
	// textKey makes the key for the n-th row, unless the database numbers them.
	textKey func(n int64) string
	binary  bool
}

func (h hospital) put(ctx context.Context, tenant string, resources ...[]byte) (updated time.Time, err error) {
	err = h.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		// SQLite has a writer wait here, before it takes its stamps.
		if err := tx.Exec("UPDATE others SET kind = kind WHERE 1 = 0").Error; err != nil {
			return err
		}
		for _, resource := range resources {
			if updated, err = h.putOne(tx, tenant, resource); err != nil {
				return err
			}
		}
		return nil
	})
	return updated, err
}

func (h hospital) putOne(tx *gorm.DB, tenant string, resource []byte) (time.Time, error) {
	found, err := fhir.Identify(resource)
	if err != nil {
		return time.Time{}, err
	}
	table := h.kept(found.Type)
	now := time.Now().Truncate(table.unit)
	row := map[string]any{table.changed: table.stamp(now), table.body: string(resource)}
	if table.binary {
		row[table.body] = resource
	}
	if table.gone != "" {
		row[table.gone] = nil
	}
	id := table.where(tenant, found.Type, found.ID)
	upsert := clause.OnConflict{DoUpdates: clause.Assignments(maps.Clone(row))}
	for column := range id {
		upsert.Columns = append(upsert.Columns, clause.Column{Name: column})
	}
	maps.Copy(row, id)
	if table.textKey != nil {
		row[table.key] = table.textKey(h.rows.Add(1))
	}
	return now, tx.Table(table.name).Clauses(upsert).Create(row).Error
}

func (h hospital) delete(ctx context.Context, tenant, resourceType, id string) error {
	table := h.kept(resourceType)
	row := h.db.WithContext(ctx).Table(table.name).Where(table.where(tenant, resourceType, id))
	if table.gone == "" {
		return row.Delete(nil).Error
	}
	return row.Updates(map[string]any{table.gone: time.Now(), table.changed: table.stamp(time.Now())}).Error
}

func (w wards) where(tenant, resourceType, id string) map[string]any {
	where := map[string]any{w.tenant: tenant, w.id: id}
	if w.kind != "" {
		where[w.kind] = resourceType
	}
	return where
}

// zoned writes each time in another zone, with as many digits as it needs.
func zoned(rows *atomic.Int64) func(time.Time) any {
	return func(t time.Time) any {
		offset := int(rows.Add(7)%25-12) * 3600
		return t.In(time.FixedZone("", offset+offset/7200*900))
	}
}

func millis(t time.Time) any { return t.UnixMilli() }

// newHospital keeps patients and observations in tables of their own and all
// other types in one, each in another way.
func newHospital(t testing.TB, db *gorm.DB) hospital {
	t.Helper()
	create(t, db,
		`CREATE TABLE patients (
			id TEXT NOT NULL, "Key" TEXT PRIMARY KEY, tenant TEXT NOT NULL,
			changed_ms BIGINT NOT NULL, body BLOB NOT NULL)`,
		`CREATE TABLE observations (
			row_no SERIAL, org TEXT NOT NULL, logical_id TEXT NOT NULL,
			changed TIMESTAMP NOT NULL, "Deleted At" TIMESTAMP, doc JSON NOT NULL)`,
		`CREATE UNIQUE INDEX observations_id ON observations (org, logical_id)`,
		`CREATE TABLE others (
			id TEXT NOT NULL, n SERIAL, tenant TEXT NOT NULL, kind TEXT NOT NULL,
			changed TIMESTAMP NOT NULL, deleted_at TIMESTAMP, body TEXT NOT NULL)`,
		`CREATE UNIQUE INDEX patients_id ON patients (tenant, id)`,
		`CREATE UNIQUE INDEX others_id ON others (tenant, kind, id)`,
		`CREATE INDEX others_order ON others (tenant, kind, n)`)
	var rows atomic.Int64
	patients := wards{
		name: "patients", tenant: "tenant", id: "id", key: "Key", body: "body", changed: "changed_ms",
		stamp: millis, unit: time.Millisecond, binary: true,
		textKey: func(n int64) string { return fmt.Sprintf("key-%08d", n) },
	}
	observations := wards{
		name: "observations", tenant: "org", id: "logical_id", key: "row_no", body: "doc", changed: "changed",
		gone: "Deleted At", stamp: zoned(&rows), unit: time.Microsecond,
	}
	others := wards{
		name: "others", tenant: "tenant", kind: "kind", id: "id", key: "n", body: "body", changed: "changed",
		gone: "deleted_at", stamp: zoned(&rows), unit: time.Microsecond,
	}
	return hospital{db: db, rows: &rows, kept: func(resourceType string) wards {
		switch resourceType {
		case "Patient":
			return patients
		case "Observation":
			return observations
		}
		return others
	}}
}

func hospitalTables() []gormsource.Table {
	return []gormsource.Table{
		{
			Name: "others", TypeColumn: "kind", TenantColumn: "tenant", KeyColumn: "n", IDColumn: "id",
			BodyColumn: "body", LastUpdatedColumn: "changed",
			Scope: func(db *gorm.DB) *gorm.DB { return db.Where("deleted_at IS NULL") },
		}, {
			Name: "patients", Type: "Patient", TenantColumn: "tenant", KeyColumn: "Key", IDColumn: "id",
			BodyColumn: "body", LastUpdatedColumn: "changed_ms", LastUpdatedUnit: time.Millisecond,
		}, {
			Name: "observations", Type: "Observation", TenantColumn: "org", KeyColumn: "row_no", IDColumn: "logical_id",
			BodyColumn: "doc", LastUpdatedColumn: "changed",
			Scope: func(db *gorm.DB) *gorm.DB { return db.Where(map[string]any{"Deleted At": nil}) },
		},
	}
}

// create runs statements in which SERIAL, TIMESTAMP and BLOB stand for what the
// database calls so.
func create(t testing.TB, db *gorm.DB, statements ...string) {
	t.Helper()
	names := strings.NewReplacer("SERIAL", "INTEGER PRIMARY KEY AUTOINCREMENT", "TIMESTAMP", "DATETIME")
	if db.Name() == "postgres" {
		names = strings.NewReplacer("SERIAL", "BIGSERIAL PRIMARY KEY", "TIMESTAMP", "TIMESTAMPTZ", "BLOB", "BYTEA")
	}
	for _, sql := range statements {
		require.NoError(t, db.Exec(names.Replace(sql)).Error)
	}
}

func newTables(t testing.TB, db *gorm.DB, tables ...gormsource.Table) *gormsource.Tables {
	t.Helper()
	source, err := gormsource.NewTables(t.Context(), db, gormsource.TablesConfig{Tables: tables, Lag: -1})
	require.NoError(t, err)
	return source
}

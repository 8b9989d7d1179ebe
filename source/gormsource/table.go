package gormsource

import (
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/fhir"
)

// Table says where a table of the host has what an export reads.
//
// An index over the tenant, type and key columns, in this order and as far as
// there are such, is what makes a read run at full speed; without it the
// database sorts the table for every batch. Columns of Scope and the last
// update, put at its end, make incremental exports and counts fast as well.
type Table struct {
	// Name is the table or view, with its schema where it needs one. Required.
	Name string

	// Type is the resource type, where the table holds only one.
	Type string
	// TypeColumn has the resource type of each row, where it holds several.
	// Exactly one of Type and TypeColumn is required. A type that has a table of
	// its own must not have rows in another one as well.
	TypeColumn string

	// TenantColumn has the tenant of each row.
	TenantColumn string
	// Tenant is the tenant of all rows, where there is no TenantColumn. To other
	// tenants the table is empty. Defaults to "".
	Tenant string

	// KeyColumn is unique, never NULL and never changes: an integer or text,
	// best the sequence in which rows were inserted. Resources are exported in
	// its order; following the physical order is several times faster than, for
	// example, the order of random ids. Required.
	KeyColumn string
	// BodyColumn has the resource as JSON: text, blob, bytea, json, or jsonb.
	// The last one is some five times slower to read, since PostgreSQL writes
	// the text anew for each row, with other blanks and order of members.
	// Required.
	BodyColumn string

	// IDColumn has the logical id, as text. It is for the Provenance at Patient
	// level that names no Patient itself: its targets in this table are looked up,
	// and it is in the compartment if one of them is. An index over the tenant,
	// type and id makes that fast. Without the column all of these targets count
	// whose type can be in the compartment. Defaults to none.
	IDColumn string

	// LastUpdatedColumn has the time of the last update, and is never NULL.
	// Required.
	LastUpdatedColumn string
	// LastUpdatedUnit is what an integer in LastUpdatedColumn counts since 1970:
	// time.Second, time.Millisecond, time.Microsecond or time.Nanosecond.
	// Defaults to 0, for a column of timestamps. On PostgreSQL one without time
	// zone is taken for UTC. On SQLite it holds text as gorm writes it, in any
	// time zone and precision; integers are compared faster.
	LastUpdatedUnit time.Duration

	// Scope adds conditions, such as db.Where("deleted_at IS NULL"). Only its
	// conditions count; they apply together with those of this package, whatever
	// OR is among them. It is called for each query and may use the context of
	// db. Defaults to none.
	Scope func(db *gorm.DB) *gorm.DB
	// PatientScope adds the condition that a row, not being a Patient, is in the
	// Patient compartment. Defaults to a look at each resource, which is right
	// for any table but reads those outside of the compartment too.
	PatientScope func(db *gorm.DB) *gorm.DB
	// GroupScope adds the condition that a row belongs to a Group, for
	// [NewGroupTables]: that it is in the Patient compartment of a member, or is
	// the Group itself, but no other Group. It is called like Scope. Without it
	// the table is empty at Group level. Defaults to none.
	GroupScope func(db *gorm.DB, group string) *gorm.DB
}

func (c TablesConfig) validate() error {
	var faults []error
	if len(c.Tables) == 0 {
		faults = append(faults, errors.New("gormsource: TablesConfig.Tables is required"))
	}
	if !c.FHIRVersion.Valid() {
		return errors.Join(append(faults, errors.New("gormsource: TablesConfig.FHIRVersion is neither R4 nor R5"))...)
	}
	for i, table := range c.Tables {
		for _, fault := range table.faults(c.FHIRVersion) {
			faults = append(faults, fmt.Errorf("gormsource: TablesConfig.Tables[%d].%s", i, fault))
		}
		for j, other := range c.Tables[:i] {
			if table.overlaps(other) {
				faults = append(faults, fmt.Errorf(
					"gormsource: TablesConfig.Tables[%d] and [%d] may hold the same resources", j, i))
			}
		}
	}
	return errors.Join(faults...)
}

func (t Table) faults(version fhir.Version) []string {
	var faults []string
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, fault)
		}
	}
	check(t.Name != "", "Name is required")
	check((t.Type == "") != (t.TypeColumn == ""), "Type or TypeColumn is required, but not both")
	check(t.Type == "" || version.IsResourceType(t.Type), fmt.Sprintf("Type %q is not a FHIR type", t.Type))
	check(t.Tenant == "" || t.TenantColumn == "", "Tenant and TenantColumn exclude each other")
	check(t.KeyColumn != "", "KeyColumn is required")
	check(t.BodyColumn != "", "BodyColumn is required")
	check(t.LastUpdatedColumn != "", "LastUpdatedColumn is required")
	switch t.LastUpdatedUnit {
	case 0, time.Second, time.Millisecond, time.Microsecond, time.Nanosecond:
	default:
		check(false, "LastUpdatedUnit is not one of those it can be")
	}
	return faults
}

// overlaps reports whether both tables may hold the same type for the same
// tenant. A table of several types stands back for one of a single type.
func (t Table) overlaps(other Table) bool {
	sameTenant := t.TenantColumn != "" || other.TenantColumn != "" || t.Tenant == other.Tenant
	return sameTenant && t.Type == other.Type
}

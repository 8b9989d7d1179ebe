package gormsource

import (
	"database/sql"
	"errors"
	"math"
	"strings"

	"gorm.io/gorm"
)

// seqBits is how many versions a batch can number without asking the database.
const seqBits = 12

const (
	insertVersion = `INSERT INTO bulkexport_resources
		(seq, tenant, type, id, last_updated, superseded_at, flags, patients, body) VALUES `
	versionColumns = 9

	insertTie  = `INSERT INTO bulkexport_compartment (tenant, patient, type, seq) VALUES `
	tieColumns = 4

	insertTarget  = `INSERT INTO bulkexport_targets (tenant, type, id, seq, recorded) VALUES `
	targetColumns = 5

	// An interval never ends before it has begun, even if the time of day jumped
	// back or two writers met.
	supersededAt = `CASE WHEN bulkexport_resources.last_updated < ? THEN ?
		ELSE bulkexport_resources.last_updated + 1 END`
)

// store writes versions, no two of the same resource and at most 1<<seqBits.
//
// They are inserted without asking first. Where the unique index objects, that
// statement ends the current version instead, and the new one is inserted by a
// second. Thus no resource is looked up on its own, and the plan does not
// depend on statistics, which PostgreSQL does not have yet at the beginning of
// a large load.
func store(tx *gorm.DB, tenant string, versions []version, s stamp) error {
	superseded, err := insertOrSupersede(tx, tenant, versions, s)
	if err != nil {
		return err
	}
	var again []any
	for i := range versions {
		v := &versions[i]
		if at, ok := superseded[v.name]; ok {
			v.lastUpdated = at
			again = v.appendRow(again, tenant)
		}
	}
	if err := insert(tx, insertVersion, versionColumns, again); err != nil {
		return err
	}
	if err := insertTies(tx, tenant, versions); err != nil {
		return err
	}
	return insertTargets(tx, tenant, versions)
}

// insertOrSupersede inserts the versions of resources that have no current one.
// Of the others it ends the current version, and returns when that was.
func insertOrSupersede(tx *gorm.DB, tenant string, versions []version, s stamp) (map[name]int64, error) {
	args := make([]any, 0, versionColumns*len(versions))
	for i := range versions {
		v := &versions[i]
		v.seq = s.batch<<seqBits | int64(i)
		v.lastUpdated = s.at
		if v.historical != 0 {
			v.lastUpdated = min(v.historical, s.at)
		}
		args = v.appendRow(args, tenant)
	}
	superseded := make(map[name]int64)
	err := eachChunk(insertVersion, versionColumns, args, func(sql string, args []any) error {
		rows, err := tx.Raw(sql+` ON CONFLICT (tenant, type, id, superseded_at)
			DO UPDATE SET superseded_at = `+supersededAt+` RETURNING type, id, superseded_at`,
			append(args[:len(args):len(args)], s.at, s.at)...).Rows()
		if err != nil {
			return err
		}
		return collect(rows, superseded)
	})
	return superseded, err
}

// collect notes the versions that were ended.
func collect(rows *sql.Rows, superseded map[name]int64) error {
	defer func() { _ = rows.Close() }()
	var resourceType, id sql.RawBytes
	var at int64
	for rows.Next() {
		if err := rows.Scan(&resourceType, &id, &at); err != nil {
			return err
		}
		if at != math.MaxInt64 {
			superseded[name{string(resourceType), string(id)}] = at
		}
	}
	return rows.Err()
}

// bury writes a deletion, if there is something to delete. It belongs to the
// patients that the version before it belonged to.
func (d dialect) bury(tx *gorm.DB, tenant string, what name, s stamp) error {
	grave := version{name: what, deleted: true, seq: s.batch << seqBits}
	var last int64
	var patients string
	err := tx.Raw(`UPDATE bulkexport_resources SET superseded_at = `+supersededAt+`
		WHERE tenant = ?`+d.collationByID+` AND type = ? AND id = ? AND superseded_at = `+openEnd+` AND flags < ?
		RETURNING superseded_at, seq, patients`,
		s.at, s.at, tenant, what.resourceType, what.id, flagDeleted).Row().
		Scan(&grave.lastUpdated, &last, &patients)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	grave.patients = strings.Fields(patients)
	if err := insert(tx, insertVersion, versionColumns, grave.appendRow(nil, tenant)); err != nil {
		return err
	}
	if err := insertTies(tx, tenant, []version{grave}); err != nil {
		return err
	}
	return tx.Exec(`INSERT INTO bulkexport_targets (tenant, type, id, seq, recorded)
		SELECT tenant, type, id, ?, recorded FROM bulkexport_targets WHERE seq = ?`, grave.seq, last).Error
}

// appendRow appends the values for insertVersion.
func (v *version) appendRow(args []any, tenant string) []any {
	return append(args, v.seq, tenant, v.resourceType, v.id, v.lastUpdated, int64(math.MaxInt64),
		v.flags(), strings.Join(v.patients, " "), v.body)
}

// insertTies writes to which patients versions belong.
func insertTies(tx *gorm.DB, tenant string, versions []version) error {
	var args []any
	for i := range versions {
		for _, patient := range versions[i].patients {
			args = append(args, tenant, patient, versions[i].resourceType, versions[i].seq)
		}
	}
	return insert(tx, insertTie, tieColumns, args)
}

// insertTargets writes what Provenances are about.
func insertTargets(tx *gorm.DB, tenant string, versions []version) error {
	var args []any
	for i := range versions {
		for _, target := range versions[i].targets {
			args = append(args, tenant, target.Type, target.ID, versions[i].seq, versions[i].recorded)
		}
	}
	return insert(tx, insertTarget, targetColumns, args)
}

func insert(tx *gorm.DB, into string, columns int, args []any) error {
	return eachChunk(into, columns, args, func(sql string, args []any) error {
		return tx.Exec(sql, args...).Error
	})
}

// eachChunk makes statements that insert rows of so many columns. They are for
// 128, 16 or 1 rows, since PostgreSQL keeps each text that it has prepared.
func eachChunk(into string, columns int, args []any, run func(sql string, args []any) error) error {
	row := ",(" + strings.Repeat(",?", columns)[1:] + ")"
	for _, n := range []int{128, 16, 1} {
		sql := into + strings.Repeat(row, n)[1:]
		for size := n * columns; len(args) >= size; args = args[size:] {
			if err := run(sql, args[:size]); err != nil {
				return err
			}
		}
	}
	return nil
}

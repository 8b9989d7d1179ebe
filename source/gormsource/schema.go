package gormsource

import (
	"context"

	"gorm.io/gorm"
)

// A version of a resource is valid from last_updated until superseded_at, in
// microseconds since 1970, so the state at any time is a plain condition that
// any number of readers can go on with at any place. Nothing is ever changed
// but superseded_at, once.
//
// The order to read in is that of the index, (tenant, type, seq), which within
// a type is also that of the writes and so of the pages. The other columns of
// the index are those of the conditions: versions that are not wanted cost no
// look at their bodies. The index by id finds the version that a resource has
// at any time, and makes sure that only one is not superseded.
//
// The table of compartments says which patients a version belongs to, that of
// a deletion included, and that of targets what a Provenance is about. Column
// patients has the ids of the former once more, with blanks between, for those
// who come from the version. A Provenance belongs to the patients of its
// targets too; this is found when it is asked for, by way of the ids, because a
// target may be written after its Provenance and may change its patient.
const (
	resourcesTable   = "bulkexport_resources"
	compartmentTable = "bulkexport_compartment"
	targetsTable     = "bulkexport_targets"

	// openEnd is superseded_at of a version that is not superseded.
	openEnd = "9223372036854775807"

	flagPatient = 1 // in the Patient compartment
	flagDeleted = 2 // the version is a deletion, its body empty
)

func sqliteSchema() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS bulkexport_clock (
			id    INTEGER PRIMARY KEY CHECK (id = 1),
			stamp INTEGER NOT NULL,
			batch INTEGER NOT NULL)`,
		`INSERT INTO bulkexport_clock (id, stamp, batch) VALUES (1, 0, 0) ON CONFLICT DO NOTHING`,
		`CREATE TABLE IF NOT EXISTS bulkexport_resources (
			seq           INTEGER PRIMARY KEY,
			tenant        TEXT NOT NULL,
			type          TEXT NOT NULL,
			id            TEXT NOT NULL,
			last_updated  INTEGER NOT NULL,
			superseded_at INTEGER NOT NULL,
			flags         INTEGER NOT NULL,
			patients      TEXT NOT NULL,
			body          TEXT NOT NULL)`,
		`CREATE INDEX IF NOT EXISTS bulkexport_resources_order
			ON bulkexport_resources (tenant, type, seq, last_updated, superseded_at, flags)`,
		`CREATE UNIQUE INDEX IF NOT EXISTS bulkexport_resources_id
			ON bulkexport_resources (tenant, type, id, superseded_at)`,
		`CREATE TABLE IF NOT EXISTS bulkexport_compartment (
			tenant  TEXT NOT NULL,
			patient TEXT NOT NULL,
			type    TEXT NOT NULL,
			seq     INTEGER NOT NULL,
			PRIMARY KEY (tenant, patient, type, seq)) WITHOUT ROWID`,
		`CREATE TABLE IF NOT EXISTS bulkexport_targets (
			tenant   TEXT NOT NULL,
			type     TEXT NOT NULL,
			id       TEXT NOT NULL,
			seq      INTEGER NOT NULL,
			recorded INTEGER NOT NULL,
			PRIMARY KEY (tenant, type, id, seq)) WITHOUT ROWID`,
		`CREATE INDEX IF NOT EXISTS bulkexport_targets_seq ON bulkexport_targets (seq)`,
	}
}

// postgresSchema has no index on seq alone. The planner would prefer it, and
// where a type is far from its beginning read all the others on the way.
//
// Two indexes begin with tenant and type, and as long as the planner takes a
// tenant for small it does not mind which one it reads all of. So each has a
// collation of its own, C or POSIX, which mean the same: an index is used only
// for comparisons of its collation.
func postgresSchema() []string {
	return []string{
		// Two processes that create the same table at once get in each other's way.
		`SELECT pg_advisory_xact_lock(hashtext('bulkexport_clock'))`,
		`CREATE TABLE IF NOT EXISTS bulkexport_clock (
			id    SMALLINT PRIMARY KEY CHECK (id = 1),
			stamp BIGINT NOT NULL)`,
		`INSERT INTO bulkexport_clock (id, stamp) VALUES (1, 0) ON CONFLICT DO NOTHING`,
		`CREATE SEQUENCE IF NOT EXISTS bulkexport_batch`,
		`CREATE TABLE IF NOT EXISTS bulkexport_resources (
			seq           BIGINT NOT NULL,
			tenant        TEXT COLLATE "C" NOT NULL,
			type          TEXT COLLATE "C" NOT NULL,
			id            TEXT COLLATE "C" NOT NULL,
			last_updated  BIGINT NOT NULL,
			superseded_at BIGINT NOT NULL,
			flags         SMALLINT NOT NULL,
			patients      TEXT COLLATE "C" NOT NULL,
			body          TEXT NOT NULL,
			CONSTRAINT bulkexport_resources_order
				PRIMARY KEY (tenant, type, seq, last_updated, superseded_at, flags))`,
		`CREATE UNIQUE INDEX IF NOT EXISTS bulkexport_resources_id
			ON bulkexport_resources (tenant COLLATE "POSIX", type, id, superseded_at)`,
		`CREATE TABLE IF NOT EXISTS bulkexport_compartment (
			tenant  TEXT COLLATE "C" NOT NULL,
			patient TEXT COLLATE "C" NOT NULL,
			type    TEXT COLLATE "C" NOT NULL,
			seq     BIGINT NOT NULL,
			PRIMARY KEY (tenant, patient, type, seq))`,
		`CREATE TABLE IF NOT EXISTS bulkexport_targets (
			tenant   TEXT COLLATE "C" NOT NULL,
			type     TEXT COLLATE "C" NOT NULL,
			id       TEXT COLLATE "C" NOT NULL,
			seq      BIGINT NOT NULL,
			recorded BIGINT NOT NULL,
			PRIMARY KEY (tenant, type, id, seq))`,
		`CREATE INDEX IF NOT EXISTS bulkexport_targets_seq ON bulkexport_targets (seq)`,
	}
}

// Migrate creates the tables, or brings those of an earlier release up to date.
// Calling it at every start, by several processes at once, is fine.
func (r *Repository) Migrate(ctx context.Context) error {
	db := r.gorm.WithContext(ctx)
	create := func(db *gorm.DB) error {
		for _, sql := range r.dialect.schema {
			if err := db.Exec(sql).Error; err != nil {
				return err
			}
		}
		return nil
	}
	if r.dialect.schemaTx {
		return wrap(ctx, "migrate", db.Transaction(create))
	}
	return wrap(ctx, "migrate", create(db))
}

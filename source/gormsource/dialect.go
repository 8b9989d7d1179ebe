package gormsource

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// dialect is what differs between the databases.
type dialect struct {
	// kindOf tells a column by its type's name, in capitals.
	kindOf func(typeName string) columnKind
	// timestamps compares a column that is not an integer.
	timestamps func(clause.Column) lastUpdated
	// textTimes says that timestamps may be text.
	textTimes bool
	// conn runs fn, which may run several times until it reads a row, on a
	// connection.
	conn func(ctx context.Context, pool *sql.DB, fn func(*sql.Conn) error) error
	// manyRows, if not nil, is to be asked first.
	manyRows *manyRows
	// now returns a time at which every transaction that began before it is over.
	// It waits for that so long, and longer where it must.
	now func(ctx context.Context, pool *sql.DB, wait time.Duration) (time.Time, error)

	// Parts of nested: the brackets around a list that is one argument, what
	// makes rows of it, a table inside, and what follows the alias of the table
	// of resources to have it read by the index of the order or that by id.
	brackets, list, inside, byOrder, byID string
	// collationByID goes with the tenant where the index by id is to be used.
	collationByID string
	// places goes through versions of which the place is known, by a list of types
	// and one of numbers, as r, and the position in the lists, as m.key.
	places func(d dialect, tenant, types, seqs string) *nested

	// Of a Repository:
	schema []string
	// schemaTx creates the schema in one transaction. On SQLite that would fail
	// where another process does the same: only a statement on its own waits.
	schemaTx bool
	tx       *sql.TxOptions
	stamp    func(tx *gorm.DB) (stamp, error)
	cut      func(ctx context.Context, db session) (int64, error)
}

func dialectOf(db *gorm.DB) (dialect, error) {
	switch name := db.Name(); name {
	case "sqlite":
		return sqliteDialect(), nil
	case "postgres":
		return postgresDialect(), nil
	default:
		return dialect{}, fmt.Errorf("gormsource: no support for %q, only for sqlite and postgres", name)
	}
}

func sqliteDialect() dialect {
	rows := &manyRows{}
	return dialect{
		kindOf:     sqliteKind,
		timestamps: func(c clause.Column) lastUpdated { return textTime{c} },
		textTimes:  true,
		conn:       rows.conn,
		manyRows:   rows,
		now:        rows.now,
		brackets:   "[]",
		list:       "json_each(?) AS m",
		inside:     " CROSS JOIN %s AS %s ON %s",
		byOrder:    " INDEXED BY bulkexport_resources_order",
		byID:       " INDEXED BY bulkexport_resources_id",
		places:     sqlitePlaces,
		schema:     sqliteSchema(),
		stamp:      sqliteStamp,
		cut:        sqliteCut,
	}
}

func postgresDialect() dialect {
	return dialect{
		kindOf:     postgresKind,
		timestamps: func(c clause.Column) lastUpdated { return timestampTime{c} },
		conn:       onConn,
		now:        postgresNow,
		brackets:   "{}",
		list:       "(SELECT value, key - 1 AS key FROM unnest(?::text[]) WITH ORDINALITY AS u (value, key)) AS m",
		inside:     " CROSS JOIN LATERAL (SELECT * FROM %[1]s AS %[2]s WHERE %[3]s OFFSET 0) AS %[2]s",
		places:     postgresPlaces,

		collationByID: ` COLLATE "POSIX"`,

		schema:   postgresSchema(),
		schemaTx: true,
		// Whatever the default is: each statement must see what is committed by then.
		tx:    &sql.TxOptions{Isolation: sql.LevelReadCommitted},
		stamp: postgresStamp,
		cut:   postgresCut,
	}
}

type columnKind int

const (
	otherColumn columnKind = iota
	integerColumn
	textColumn
	timeColumn
)

// sqliteKind follows the rules by which SQLite itself reads a declared type,
// as far as they are safe for what gorm and others declare.
func sqliteKind(name string) columnKind {
	has := func(part string) bool { return strings.Contains(name, part) }
	switch {
	case has("INT"):
		return integerColumn
	case has("CHAR"), has("CLOB"), has("TEXT"), has("UUID"):
		return textColumn
	case has("DATE"), has("TIME"):
		return timeColumn
	}
	return otherColumn
}

func postgresKind(name string) columnKind {
	switch name {
	case "INT2", "INT4", "INT8":
		return integerColumn
	case "TEXT", "VARCHAR", "BPCHAR", "UUID":
		return textColumn
	case "TIMESTAMP", "TIMESTAMPTZ":
		return timeColumn
	}
	return otherColumn
}

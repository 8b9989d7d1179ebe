package gormsource

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// nested builds a SELECT that goes through tables one inside the other, in the
// order in which they are named, each by an index. A planner that were free to
// choose would, without statistics or with old ones, now and then turn the
// order around and read a whole table for the sake of a few rows.
type nested struct {
	dialect dialect
	from    strings.Builder
	args    []any
}

// over begins with a list, as rows m (value, key), key being the position from
// 0 on. The list is one argument, however long it is. Its values are ids, names
// of types, and numbers, of which none has a quote.
func (d dialect) over(values []string) *nested {
	return d.nested(d.list, d.listOf(values))
}

func (d dialect) nested(from string, args ...any) *nested {
	n := &nested{dialect: d, args: args}
	n.from.WriteString(from)
	return n
}

func (d dialect) listOf(values []string) string {
	if len(values) == 0 {
		return d.brackets
	}
	size := len(d.brackets)
	for _, value := range values {
		size += len(value) + len(`"",`)
	}
	var list strings.Builder
	list.Grow(size)
	list.WriteString(d.brackets[:1])
	for i, value := range values {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteByte('"')
		list.WriteString(value)
		list.WriteByte('"')
	}
	list.WriteString(d.brackets[1:])
	return list.String()
}

// inside adds the rows of a table that meet a condition, which may name those
// before.
func (n *nested) inside(table, alias, condition string, args ...any) *nested {
	fmt.Fprintf(&n.from, n.dialect.inside, table, alias, condition)
	n.args = append(n.args, args...)
	return n
}

// placed adds versions of a tenant by their type and place. A condition on
// columns that the index has not makes it read the versions themselves.
func (n *nested) placed(alias, condition string, tenant string, args ...any) *nested {
	return n.inside(resourcesTable, alias+n.dialect.byOrder,
		alias+".tenant = ? AND "+condition, append([]any{tenant}, args...)...)
}

// named adds versions of a tenant by their type and id.
func (n *nested) named(alias, condition string, tenant string, args ...any) *nested {
	return n.inside(resourcesTable, alias+n.dialect.byID,
		alias+".tenant = ?"+n.dialect.collationByID+" AND "+condition, append([]any{tenant}, args...)...)
}

func (n *nested) selecting(columns string) (string, []any) {
	return "SELECT " + columns + " FROM " + n.from.String(), n.args
}

// On SQLite the place is the row's number.
func sqlitePlaces(d dialect, _, _, seqs string) *nested {
	return d.nested(d.list, seqs).inside(resourcesTable, "r", "r.seq = CAST(m.value AS BIGINT)")
}

func postgresPlaces(d dialect, tenant, types, seqs string) *nested {
	const list = `(SELECT type, seq, key - 1 AS key
		FROM unnest(?::text[], ?::bigint[]) WITH ORDINALITY AS u (type, seq, key)) AS m`
	return d.nested(list, types, seqs).
		inside(resourcesTable, "r", "r.tenant = ? AND r.type = m.type AND r.seq = m.seq", tenant)
}

// eachOf runs a query and calls scan for each row, until the first error.
func (db session) eachOf(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	text, args, err := statement(db.gorm.WithContext(ctx).Raw(query, args...))
	if err != nil {
		return err
	}
	return db.run(ctx, text, args, scan)
}

// run calls scan for each row of a statement as the database knows it.
func (db session) run(ctx context.Context, text string, args []any, scan func(*sql.Rows) error) error {
	text, args = db.guarded(text, args)
	return db.withConn(ctx, func(conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			if err := scan(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

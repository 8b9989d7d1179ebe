package gormsource

import (
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm/clause"
)

// lastUpdated compares a column with times. What is finer than the column can
// hold is rounded so that the comparison is still exact.
type lastUpdated interface {
	after(t time.Time) clause.Expression  // strictly
	before(t time.Time) clause.Expression // strictly
}

// integerTime is a column that counts units since 1970.
type integerTime struct {
	column clause.Column
	unit   time.Duration
}

func (c integerTime) after(t time.Time) clause.Expression {
	return clause.Gt{Column: c.column, Value: countUnits(t, c.unit)}
}

func (c integerTime) before(t time.Time) clause.Expression {
	return clause.Lt{Column: c.column, Value: countUnits(t.Add(c.unit-1), c.unit)}
}

// countUnits rounds down. The unit divides a second.
func countUnits(t time.Time, unit time.Duration) int64 {
	seconds := min(max(t.Unix(), minUnix), maxUnix)
	return seconds*int64(time.Second/unit) + int64(t.Nanosecond())/int64(unit)
}

// The years for which an int64 can count nanoseconds: 1678 to 2261.
const (
	minUnix = -9_214_560_000
	maxUnix = +9_214_646_399
)

// timestampTime is a timestamp of PostgreSQL, which counts microseconds.
type timestampTime struct{ column clause.Column }

func (c timestampTime) after(t time.Time) clause.Expression {
	return clause.Gt{Column: c.column, Value: t.UTC().Truncate(time.Microsecond)}
}

func (c timestampTime) before(t time.Time) clause.Expression {
	t = t.Add(time.Microsecond - 1)
	return clause.Lt{Column: c.column, Value: t.UTC().Truncate(time.Microsecond)}
}

// textTime is a column of SQLite with text like 2006-01-02 15:04:05.999-07:00.
// Such text cannot be compared as it is, since its time zone is the writer's
// and its fraction is of any length; and SQLite's own date functions round to
// milliseconds. So the seconds and the fraction are compared one after the
// other, the seconds as numbers, the fraction as text without trailing zeros.
// A value that is no time counts as inside every range, rather than being lost.
type textTime struct{ column clause.Column }

const (
	textZone = `(CASE WHEN length(@c) > 16 AND substr(@c, -6, 1) IN ('+', '-') THEN substr(@c, -6) ELSE '' END)`
	// Only the first 19 characters, down to the seconds, are SQLite's to read.
	textSeconds  = `CAST(strftime('%s', substr(@c, 1, 19) || ` + textZone + `) AS INTEGER)`
	textFraction = `rtrim(substr(@c, 20, max(0, length(@c) - 19 - length(` + textZone + `))), '.Z0')`
)

func (c textTime) after(t time.Time) clause.Expression  { return c.compare(">", t) }
func (c textTime) before(t time.Time) clause.Expression { return c.compare("<", t) }

func (c textTime) compare(operator string, t time.Time) clause.Expression {
	sql := fmt.Sprintf("coalesce((%s, %s) %s (?, ?), 1)", textSeconds, textFraction, operator)
	fraction := strings.TrimRight(t.Format(".000000000"), ".0")
	vars := make([]any, 0, strings.Count(sql, "@c")+2)
	for range cap(vars) - 2 {
		vars = append(vars, c.column)
	}
	vars = append(vars, t.Unix(), fraction)
	return clause.Expr{SQL: strings.ReplaceAll(sql, "@c", "?"), Vars: vars}
}

package gormsource

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
)

// table is a Table that exists.
type table struct {
	Table
	integerKey  bool
	lastUpdated lastUpdated
}

// inspect looks whether all columns are there and of types that will do.
func (db session) inspect(ctx context.Context, config Table) (table, error) {
	t := table{Table: config, lastUpdated: db.dialect.timestamps(column(config.LastUpdatedColumn))}
	if unit := config.LastUpdatedUnit; unit != 0 {
		t.lastUpdated = integerTime{column(config.LastUpdatedColumn), unit}
	}
	names := []string{config.KeyColumn, config.LastUpdatedColumn, config.BodyColumn}
	if config.IDColumn != "" {
		names = append(names, config.IDColumn)
	}
	for _, name := range []string{config.TypeColumn, config.TenantColumn} {
		if name != "" {
			names = append(names, name)
		}
	}
	types, err := db.columnTypes(ctx, &t, names)
	if err != nil {
		return t, err
	}
	switch kind := db.dialect.kindOf(types[0]); kind {
	case integerColumn, textColumn:
		t.integerKey = kind == integerColumn
	default:
		return t, fmt.Errorf("KeyColumn %s is of type %q, not an integer or text", config.KeyColumn, types[0])
	}
	if config.IDColumn != "" && (db.dialect.kindOf(types[3]) != textColumn || types[3] == "UUID") {
		return t, fmt.Errorf("IDColumn %s is of type %q, not text", config.IDColumn, types[3])
	}
	kind, unit := db.dialect.kindOf(types[1]), config.LastUpdatedUnit
	counts, holdsTime := kind == integerColumn, kind == timeColumn || kind == textColumn && db.dialect.textTimes
	if unit != 0 && !counts || unit == 0 && !holdsTime {
		return t, fmt.Errorf("LastUpdatedColumn %s is of type %q, which does not go with LastUpdatedUnit %v",
			config.LastUpdatedColumn, types[1], unit)
	}
	return t, nil
}

// columnTypes returns the types of columns as the database names them, in
// capitals. It reads no row, but tries the scopes.
func (db session) columnTypes(ctx context.Context, t *table, names []string) ([]string, error) {
	conditions := []clause.Expression{clause.Expr{SQL: "1 = 0"}}
	for _, level := range []bulkexport.Level{bulkexport.LevelPatient, bulkexport.LevelGroup} {
		more, err := t.conditions(ctx, db, bulkexport.Scope{Level: level})
		if err != nil {
			return nil, err
		}
		conditions = append(conditions, more...)
	}
	columns := clause.Select{}
	for _, name := range names {
		columns.Columns = append(columns.Columns, column(name))
	}
	text, args, err := statement(db.gorm.WithContext(ctx).Table(t.Name).Clauses(columns, clause.Where{Exprs: conditions}))
	if err != nil {
		return nil, err
	}
	types := make([]string, len(names))
	err = db.withConn(ctx, func(conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, text, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		infos, err := rows.ColumnTypes()
		if err != nil {
			return err
		}
		for i, info := range infos {
			types[i] = strings.ToUpper(info.DatabaseTypeName())
		}
		return rows.Err()
	})
	return types, err
}

// holds reports whether the table may have resources of the type.
func (t *table) holds(tenant, resourceType string) bool {
	return t.serves(tenant) && (t.TypeColumn != "" || t.Type == resourceType)
}

func (t *table) serves(tenant string) bool { return t.TenantColumn != "" || t.Tenant == tenant }

// selection tells the query for the table.
func (t *table) selection(ctx context.Context, db session, q bulkexport.Query) (selection, error) {
	scope := q.Scope
	if q.Type == patientType && scope.Level == bulkexport.LevelPatient {
		scope.Level = bulkexport.LevelSystem // every Patient is in the compartment
	}
	conditions, err := t.conditions(ctx, db, scope)
	if err != nil {
		return selection{}, err
	}
	if t.TypeColumn != "" {
		conditions = append(conditions, clause.Eq{Column: column(t.TypeColumn), Value: q.Type})
	}
	if !q.Since.IsZero() {
		conditions = append(conditions, t.lastUpdated.after(q.Since))
	}
	if !q.Until.IsZero() {
		conditions = append(conditions, t.lastUpdated.before(q.Until))
	}
	return selection{
		table:        t.Name,
		key:          column(t.KeyColumn),
		body:         column(t.BodyColumn),
		integerKey:   t.integerKey,
		resourceType: q.Type,
		conditions:   conditions,
		after:        q.After,
		upTo:         q.UpTo,
	}, nil
}

// conditions are those that hold for all types and times.
func (t *table) conditions(ctx context.Context, db session, scope bulkexport.Scope) ([]clause.Expression, error) {
	var conditions []clause.Expression
	if t.TenantColumn != "" {
		conditions = append(conditions, clause.Eq{Column: column(t.TenantColumn), Value: scope.Tenant})
	}
	scopes := []func(*gorm.DB) *gorm.DB{t.Scope}
	switch {
	case scope.Level == bulkexport.LevelPatient:
		scopes = append(scopes, t.PatientScope)
	case scope.Level == bulkexport.LevelGroup && t.GroupScope != nil:
		scopes = append(scopes, func(db *gorm.DB) *gorm.DB { return t.GroupScope(db, scope.Group) })
	}
	for _, add := range scopes {
		if add == nil {
			continue
		}
		condition, err := scopeCondition(db.gorm.WithContext(ctx).Table(t.Name), add)
		if err != nil {
			return nil, err
		}
		if condition != nil {
			conditions = append(conditions, condition)
		}
	}
	return conditions, nil
}

// scopeCondition returns the WHERE clause that a function of the host adds.
func scopeCondition(db *gorm.DB, add func(*gorm.DB) *gorm.DB) (clause.Expression, error) {
	scoped := add(db)
	if scoped == nil {
		return nil, errors.New("scope returned nil")
	}
	var rows []map[string]any
	built := scoped.Session(&gorm.Session{DryRun: true}).Find(&rows)
	if built.Error != nil {
		return nil, fmt.Errorf("scope: %w", built.Error)
	}
	where, ok := built.Statement.Clauses["WHERE"].Expression.(clause.Where)
	if !ok {
		return nil, nil
	}
	return parentheses(where), nil
}

// parentheses keeps an OR of the host from reaching beyond its own conditions,
// into those on tenant and type. gorm does so only for an OR that it sees.
type parentheses clause.Where

// Build implements clause.Expression.
func (p parentheses) Build(builder clause.Builder) {
	_ = builder.WriteByte('(')
	clause.Where(p).Build(builder)
	_ = builder.WriteByte(')')
}

package gormsource

import (
	"context"
	"fmt"
	"slices"

	"gorm.io/gorm/clause"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// Types implements [bulkexport.ResourceSource]. At Patient level it names the
// types that can be in the compartment.
func (t *Tables) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	if err := t.checkScope(ctx, scope); err != nil {
		return nil, wrap(ctx, "list types", err)
	}
	found := []string{}
	for i := range t.tables {
		if !t.tables[i].serves(scope.Tenant) {
			continue
		}
		names, err := t.tables[i].types(ctx, t.session, scope)
		if err != nil {
			return nil, wrap(ctx, "list types", err)
		}
		for _, name := range names {
			if slices.Contains(found, name) {
				return nil, fmt.Errorf("gormsource: list types: %s has a table of its own, but is in %s too",
					name, t.tables[i].Name)
			}
			found = append(found, name)
		}
	}
	return atLevel(t.fhir, found, scope.Level), nil
}

// atLevel returns the types that the level can hold.
func atLevel(version fhir.Version, types []string, level bulkexport.Level) []string {
	if level == bulkexport.LevelSystem {
		return types
	}
	return slices.DeleteFunc(types, func(name string) bool { return !version.IsPatientCompartmentType(name) })
}

// types returns the types of the rows in the scope.
func (t *table) types(ctx context.Context, db session, scope bulkexport.Scope) ([]string, error) {
	scope.Level = bulkexport.LevelSystem // atLevel sees to it
	conditions, err := t.conditions(ctx, db, scope)
	if err != nil {
		return nil, err
	}
	if t.TypeColumn != "" {
		return db.distinct(ctx, t.Name, t.TypeColumn, conditions)
	}
	s := selection{table: t.Name, key: column(t.KeyColumn), conditions: conditions}
	query, err := s.query(ctx, db.gorm)
	if err != nil {
		return nil, err
	}
	key, err := db.first(ctx, query.Clauses(clause.Select{Columns: []clause.Column{s.key}}))
	if err != nil || key == nil {
		return nil, err
	}
	return []string{t.Type}, nil
}

// distinct returns the values of a text column. It jumps from one to the next
// on an index, instead of reading all rows: some hundred small statements at
// most.
func (db session) distinct(
	ctx context.Context, table, name string, conditions []clause.Expression,
) ([]string, error) {
	values := []string{}
	s := selection{table: table, key: column(name), conditions: conditions, after: []byte{}}
	for {
		query, err := s.query(ctx, db.gorm)
		if err != nil {
			return nil, err
		}
		value, err := db.first(ctx, s.inKeyOrder(query, s.key))
		if err != nil || value == nil {
			return values, err
		}
		values = append(values, string(value))
		s.after = value
	}
}

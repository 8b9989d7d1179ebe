package gormsource

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
)

var _ bulkexport.SourceGroups = (*GroupTables)(nil)

// GroupTables is [Tables] of a host that knows the members of its Groups, and
// so can have Group level exports.
type GroupTables struct{ *Tables }

// NewGroupTables is [NewTables] with a function of the host that is what
// [bulkexport.SourceGroups] says of CheckGroup. Whose resources a Group level
// has is for Table.GroupScope to say. The function is called for each query
// too, and several times at once. Required.
func NewGroupTables(
	ctx context.Context, db *gorm.DB, cfg TablesConfig,
	checkGroup func(ctx context.Context, tenant, id string) error,
) (*GroupTables, error) {
	if checkGroup == nil {
		return nil, errors.New("gormsource: NewGroupTables needs a function that checks a Group")
	}
	t, err := NewTables(ctx, db, cfg)
	if err != nil {
		return nil, err
	}
	t.checkGroup = checkGroup
	return &GroupTables{t}, nil
}

// CheckGroup implements [bulkexport.SourceGroups].
func (t *GroupTables) CheckGroup(ctx context.Context, tenant, id string) error {
	return wrap(ctx, "check group", t.checkGroup(ctx, tenant, id))
}

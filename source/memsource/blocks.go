package memsource

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
)

// OrganizesBy implements [bulkexport.SourceOrganizer]: by Patient only.
func (s *Source) OrganizesBy(resourceType string) bool { return resourceType == "Patient" }

// Blocks implements [bulkexport.SourceOrganizer]. A stream reads like one of
// Resources.
func (s *Source) Blocks(
	ctx context.Context, q bulkexport.Query, types []string,
) iter.Seq2[bulkexport.BlockResource, error] {
	return stream(ctx, "blocks", blockItem.resource, func() (items []blockItem, err error) {
		if !s.OrganizesBy(q.Type) {
			return nil, fmt.Errorf("by %s is not supported", q.Type)
		}
		err = s.read(ctx, q, func(sel selection) { items = sel.blocks(types) })
		return items, err
	})
}

// blockItem is a version in the block of a patient.
type blockItem struct{ version, owner *version }

func (b blockItem) resource() bulkexport.BlockResource {
	return bulkexport.BlockResource{
		Resource: bulkexport.Resource{Key: b.owner.key, JSON: b.version.json},
		Type:     b.version.Type,
		Owner:    b.owner.ID,
	}
}

// blocks returns all blocks, one after the other.
func (sel selection) blocks(types []string) []blockItem {
	owners := sel.owners()
	members := make(map[string][]*version, len(owners))
	for _, owner := range owners {
		members[owner.ID] = []*version{}
	}
	sel.q.After, sel.q.UpTo = nil, nil
	for _, name := range types {
		for _, v := range sel.versions(name) {
			sel.distribute(v, members)
		}
	}
	var items []blockItem
	for _, owner := range owners {
		if slices.Contains(types, owner.Type) && sel.has(owner) {
			items = append(items, blockItem{owner, owner})
		}
		for _, v := range members[owner.ID] {
			items = append(items, blockItem{v, owner})
		}
	}
	return items
}

// owners returns the instances that may have a block, whenever updated.
func (sel selection) owners() []*version {
	sel.q.Since, sel.q.Until = time.Time{}, time.Time{}
	return slices.DeleteFunc(sel.versions(sel.q.Type), func(v *version) bool {
		return v.deleted || sel.patients != nil && !sel.patients[v.ID]
	})
}

// distribute adds a version to the members of each owner but itself.
func (sel selection) distribute(v *version, members map[string][]*version) {
	for _, id := range sel.compartments(v) {
		itself := v.Type == sel.q.Type && v.ID == id
		if list, ok := members[id]; ok && !itself && !v.deleted {
			members[id] = append(list, v)
		}
	}
}

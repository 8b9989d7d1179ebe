package bulkexport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// pipeline turns a resource as the source yields it into a line, or into the
// reason why there is none. It belongs to one attempt at one part.
type pipeline struct {
	job          Job
	resourceType string
	filter       FilterFunc
	joined       []byte
}

// errDropped says that a filter does not let a resource out.
var errDropped = errors.New("dropped")

// line returns the line for a resource, valid until the next call. errDropped
// and [*ResourceError] concern this resource only.
func (p *pipeline) line(ctx context.Context, resource []byte) ([]byte, error) {
	line, err := p.check(resource)
	if err != nil || p.filter == nil {
		return line, err
	}
	kept, err := p.filter(ctx, p.job, p.resourceType, line)
	switch {
	case err != nil:
		return nil, fmt.Errorf("filter %s: %w", p.resourceType, err)
	case kept == nil:
		return nil, errDropped
	case len(kept) == len(line) && len(kept) > 0 && &kept[0] == &line[0]:
		return line, nil
	}
	return p.check(kept)
}

// check returns the resource as one line. Without line breaks inside, that is
// the resource itself.
func (p *pipeline) check(resource []byte) ([]byte, error) {
	found, fault := checkLine(resource)
	if fault != nil {
		return nil, &ResourceError{Type: p.resourceType, Reason: fault.Error(), Err: fault}
	}
	if string(found.resourceType) != p.resourceType {
		return nil, &ResourceError{Type: p.resourceType, Reason: "the stored resource is of another type"}
	}
	if found.breaks {
		p.joined = joinLines(p.joined[:0], resource)
		resource = p.joined
	}
	return resource, nil
}

// outcomeLine is the OperationOutcome that stands in an error file for a
// resource which could not be exported.
func outcomeLine(fault *ResourceError) ([]byte, error) {
	name := fault.Type
	if fault.ID != "" {
		name += "/" + fault.ID
	}
	type issue struct {
		Severity    string `json:"severity"`
		Code        string `json:"code"`
		Diagnostics string `json:"diagnostics"`
	}
	return json.Marshal(struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{"OperationOutcome", []issue{{"error", "exception", name + " could not be exported: " + fault.Reason}}})
}

package bulkexport

import (
	"bytes"
	"context"
	"encoding/json"
)

// pipeline turns a resource as the source yields it into a line, or into the
// reason why there is none. It belongs to one attempt at one part.
type pipeline struct {
	job          Job
	resourceType string
	filter       FilterFunc
	joined       []byte
}

// line returns the line for a resource, valid until the next call, or what is
// wrong with the resource. Neither means that the filter has dropped it.
func (p *pipeline) line(ctx context.Context, resource []byte) ([]byte, *ResourceError, error) {
	line, fault := p.check(resource)
	if fault != nil || p.filter == nil {
		return line, fault, nil
	}
	kept, err := p.filter(ctx, p.job, p.resourceType, line)
	switch {
	case err != nil:
		return nil, nil, hostFault("filter %s: %w", p.resourceType, err)
	case kept == nil:
		return nil, nil, nil
	case len(kept) == len(line) && len(kept) > 0 && &kept[0] == &line[0]:
		return line, nil, nil
	}
	line, fault = p.check(kept)
	return line, fault, nil
}

// check returns the resource as one line. Without line breaks inside, that is
// the resource itself.
func (p *pipeline) check(resource []byte) ([]byte, *ResourceError) {
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
func outcomeLine(fault *ResourceError) []byte {
	name := fault.Type
	if fault.ID != "" {
		name += "/" + fault.ID
	}
	type issue struct {
		Severity    string `json:"severity"`
		Code        string `json:"code"`
		Diagnostics string `json:"diagnostics"`
	}
	var line bytes.Buffer
	// Strings can always be encoded, and the buffer does not fail.
	_ = json.NewEncoder(&line).Encode(struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{"OperationOutcome", []issue{{"error", "exception", name + " could not be exported: " + fault.Reason}}})
	return bytes.TrimSuffix(line.Bytes(), []byte("\n"))
}

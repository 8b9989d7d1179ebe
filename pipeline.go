package bulkexport

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
)

// pipeline turns a resource as the source yields it into a line, or into the
// reason why there is none. It belongs to one attempt at one part, and to one
// resource type.
type pipeline struct {
	job          Job
	resourceType string
	searches     []*search.Filter // one must match, if there are any
	filter       FilterFunc
	attachments  func(ctx context.Context, dst, line []byte) ([]byte, error)
	projection   *fhir.Projection // nil keeps all elements

	joined, rewritten, projected []byte
}

// verdict is what becomes of a resource: exactly one of line, fault, dropped and
// neither, which means that it is not selected.
type verdict struct {
	line    []byte // valid until the next call
	fault   *ResourceError
	dropped bool // by the host's filter
}

// filtersFor returns the searches of a type: those that the source evaluates,
// or else, those that are left to the pipeline. Blocks have several types in one
// stream, and associated data is added after searching.
func (e *Exporter) filtersFor(req ExportRequest, part Part, resourceType string) (pushed, own []string) {
	if part.Associated != "" || part.Kind != PartResources && part.Kind != PartBlocks {
		return nil, nil
	}
	for _, text := range req.TypeFilters {
		if name, query, _ := strings.Cut(text, "?"); name == resourceType {
			pushed = append(pushed, query)
			own = append(own, text)
		}
	}
	searcher, ok := e.cfg.Source.(SourceSearcher)
	if !ok || part.Kind == PartBlocks {
		return nil, own
	}
	if slices.ContainsFunc(pushed, func(query string) bool { return !searcher.Searches(resourceType, query) }) {
		return nil, own
	}
	return pushed, nil
}

func (e *Exporter) newPipeline(job Job, part Part, resourceType string) (*pipeline, error) {
	p := &pipeline{job: job, resourceType: resourceType, filter: e.cfg.Filter}
	_, texts := e.filtersFor(job.Request, part, resourceType)
	for _, text := range texts {
		compiled, err := search.Compile(text, search.Options{Now: job.TransactionTime, BaseURLs: e.cfg.BaseURLs})
		if err != nil {
			return nil, fmt.Errorf("compile search of %s: %w: %w", resourceType, ErrPermanent, err)
		}
		p.searches = append(p.searches, compiled)
	}
	if e.cfg.Attachment != nil {
		p.attachments = func(ctx context.Context, dst, line []byte) ([]byte, error) {
			return e.cfg.FHIRVersion.RewriteAttachments(dst, line, func(attachment []byte) ([]byte, error) {
				return e.cfg.Attachment(ctx, job, resourceType, attachment)
			})
		}
	}
	elements, subset := e.elementsOf(job.Request, resourceType)
	if !subset {
		return p, nil
	}
	var err error
	if p.projection, err = e.cfg.FHIRVersion.NewProjection(resourceType, elements); err != nil {
		return nil, fmt.Errorf("select elements of %s: %w: %w", resourceType, ErrPermanent, err)
	}
	return p, nil
}

// elementsOf returns the elements to keep in a type, and whether any are to be
// left out at all: an element without a type concerns all types, also those that
// do not have it.
func (e *Exporter) elementsOf(req ExportRequest, resourceType string) (elements []string, subset bool) {
	for _, element := range req.Elements {
		typeName, name, typed := strings.Cut(element, ".")
		if !typed {
			typeName, name = resourceType, element
		}
		if typeName != resourceType {
			continue
		}
		subset = true
		if e.cfg.FHIRVersion.HasElement(resourceType, name) {
			elements = append(elements, name)
		}
	}
	return elements, subset
}

// line judges a resource. An error is none of the resource: it ends the attempt.
func (p *pipeline) line(ctx context.Context, resource Resource) (verdict, error) {
	found, err := p.selects(ctx, resource.JSON)
	if err != nil || found.line == nil {
		return found, err
	}
	if p.attachments != nil {
		if p.rewritten, err = p.attachments(ctx, p.rewritten[:0], found.line); err != nil {
			return verdict{}, hookFault("rewrite attachments of %s: %w", p.resourceType, err)
		}
		if found = p.check(p.rewritten); found.line == nil {
			return found, nil
		}
	}
	if p.projection != nil {
		if p.projected, err = p.projection.Append(p.projected[:0], found.line); err != nil {
			return p.faulty("its elements cannot be told apart", err), nil
		}
		found.line = p.projected
	}
	return found, nil
}

// selects judges a resource without changing it, but for what the host's filter
// puts in its place.
func (p *pipeline) selects(ctx context.Context, resource []byte) (verdict, error) {
	found := p.check(resource)
	if found.line == nil {
		return found, nil
	}
	if len(p.searches) > 0 {
		matches, err := p.matches(found.line)
		switch {
		case err != nil:
			return p.faulty("it cannot be searched", err), nil
		case !matches:
			return verdict{}, nil
		}
	}
	if p.filter == nil {
		return found, nil
	}
	kept, err := p.filter(ctx, p.job, p.resourceType, found.line)
	switch {
	case err != nil:
		return verdict{}, hookFault("filter %s: %w", p.resourceType, err)
	case kept == nil:
		return verdict{dropped: true}, nil
	case len(kept) == len(found.line) && len(kept) > 0 && &kept[0] == &found.line[0]:
		return found, nil
	}
	return p.check(kept), nil
}

func (p *pipeline) matches(line []byte) (bool, error) {
	for _, s := range p.searches {
		if matches, err := s.Match(line); err != nil || matches {
			return matches, err
		}
	}
	return false, nil
}

func (p *pipeline) faulty(reason string, cause error) verdict {
	return verdict{fault: &ResourceError{Type: p.resourceType, Reason: reason, Err: cause}}
}

// check returns the resource as one line. Without line breaks inside, that is
// the resource itself.
func (p *pipeline) check(resource []byte) verdict {
	found, fault := checkLine(resource)
	if fault != nil {
		return p.faulty(fault.Error(), fault)
	}
	if string(found.resourceType) != p.resourceType {
		return p.faulty("the stored resource is of another type", nil)
	}
	if found.breaks {
		p.joined = joinLines(p.joined[:0], resource)
		resource = p.joined
	}
	return verdict{line: resource}
}

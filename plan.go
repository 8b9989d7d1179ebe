package bulkexport

import (
	"bytes"
	"context"
	"slices"

	"github.com/bulkexport/bulkexport/fhir"
)

// makePlan cuts the export into parts. It reads no resource, but may count. It
// calls step whenever the source has answered.
func (e *Exporter) makePlan(ctx context.Context, job Job, step func()) ([]Part, error) {
	available, err := e.cfg.Source.Types(ctx, scopeOf(job))
	if err != nil {
		return nil, hostFault("list resource types: %w", err)
	}
	step()
	var parts []Part
	for _, name := range selectTypes(job.Request, available, e.types) {
		ranges, err := e.splitType(ctx, queryFor(job, name), step)
		if err != nil {
			return nil, err
		}
		for _, part := range ranges {
			part.Index = len(parts)
			parts = append(parts, part)
		}
	}
	return parts, nil
}

func (e *Exporter) splitType(ctx context.Context, q Query, step func()) ([]Part, error) {
	var cuts [][]byte
	if splitter, ok := e.cfg.Source.(SourceSplitter); ok {
		var err error
		if cuts, err = splitter.Split(ctx, q, e.cfg.MaxFileResources); err != nil {
			return nil, hostFault("split %s: %w", q.Type, err)
		}
	}
	for i, cut := range cuts {
		if len(cut) == 0 || i > 0 && bytes.Equal(cut, cuts[i-1]) {
			return nil, hostFault("split %s: the source gave an empty range", q.Type)
		}
	}
	step()
	parts := cutRange(q, cuts)
	counter, ok := e.cfg.Source.(SourceCounter)
	if !ok {
		return parts, nil
	}
	for i := range parts {
		q.After, q.UpTo = parts[i].After, parts[i].UpTo
		total, err := counter.Count(ctx, q)
		if err != nil {
			return nil, hostFault("count %s: %w", q.Type, err)
		}
		parts[i].Total = total
		step()
	}
	return parts, nil
}

// cutRange makes one part of each range between cuts. Their totals are unknown.
func cutRange(q Query, cuts [][]byte) []Part {
	parts := make([]Part, 0, len(cuts)+1)
	after := q.After
	for _, cut := range append(slices.Clone(cuts), q.UpTo) {
		parts = append(parts, Part{Type: q.Type, After: after, UpTo: cut, Total: -1})
		after = cut
	}
	return parts
}

// selectTypes returns the types to read, sorted: those that have data, that
// this server exports, that were asked for, and that the level can hold.
func selectTypes(req ExportRequest, available []string, exported map[string]bool) []string {
	var types []string
	for _, name := range available {
		switch {
		case !exported[name]:
		case req.Types != nil && !slices.Contains(req.Types, name):
		case req.Level == LevelPatient && !fhir.IsPatientCompartmentType(name):
		default:
			types = append(types, name)
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

func scopeOf(job Job) Scope {
	return Scope{Tenant: job.Tenant, Level: job.Request.Level}
}

// queryFor returns the query for all resources of a type that the job selects.
func queryFor(job Job, resourceType string) Query {
	return Query{
		Scope: scopeOf(job),
		Type:  resourceType,
		Since: job.Request.Since,
		AsOf:  job.TransactionTime,
	}
}

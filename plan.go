package bulkexport

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/samber/lo"
)

// What the engine itself has to know of FHIR's types.
const (
	groupType      = "Group"
	patientType    = "Patient"
	provenanceType = "Provenance"
	outcomeType    = "OperationOutcome"
	bundleType     = "Bundle"
)

// makePlan cuts the export into parts. It reads no resource, but may count. It
// calls step whenever the source has answered.
//
// What is small and settled soon stands first, so that manifests of several
// pages begin with it.
func (e *Exporter) makePlan(ctx context.Context, job Job, step func()) ([]Part, error) {
	p := planner{e: e, job: job, step: step}
	if len(noticesOf(job.Request)) > 0 {
		p.add(Part{Kind: PartNotices})
	}
	if _, ok := e.cfg.Source.(SourceDeletions); ok && !job.Request.Since.IsZero() {
		p.add(Part{Kind: PartDeletions})
	}
	err := p.planData(ctx)
	return p.parts, err
}

// planner gathers the parts of a plan.
type planner struct {
	e     *Exporter
	job   Job
	step  func()
	parts []Part
}

func (p *planner) add(parts ...Part) {
	for _, part := range parts {
		part.Index = len(p.parts)
		p.parts = append(p.parts, part)
	}
}

func (p *planner) planData(ctx context.Context) error {
	if p.job.Request.OrganizeBy != "" {
		return p.planBlocks(ctx)
	}
	if err := p.planTypes(ctx, p.e.cfg.Source, ""); err != nil {
		return err
	}
	if p.job.Request.addsProvenance() {
		if err := p.split(ctx, p.e.cfg.Source, Part{Kind: PartProvenance, Type: provenanceType}); err != nil {
			return err
		}
	}
	for _, value := range slices.Sorted(maps.Keys(p.e.cfg.AssociatedData)) {
		if !slices.Contains(p.job.Request.Associated, value) {
			continue
		}
		if err := p.planTypes(ctx, p.e.cfg.AssociatedData[value], value); err != nil {
			return err
		}
	}
	return nil
}

// planTypes plans the types of a source.
func (p *planner) planTypes(ctx context.Context, source ResourceSource, associated string) error {
	available, err := source.Types(ctx, scopeOf(p.job))
	if err != nil {
		return sourceFault("list resource types: %w", err)
	}
	p.step()
	wanted := p.e.exports
	if associated != "" {
		wanted = p.e.asks
	}
	types := filter(available, func(name string) bool { return wanted(p.job.Request, name) })
	for _, name := range normal(types) {
		if err := p.split(ctx, source, Part{Type: name, Associated: associated}); err != nil {
			return err
		}
	}
	return nil
}

// split adds a part, or several for ranges of about equal size.
//
// It counts first, since a source that splits counts as well, and a count may
// pass all that it counts: what fits one file is counted once.
func (p *planner) split(ctx context.Context, source ResourceSource, part Part) error {
	q := p.e.queryFor(p.job, part)
	total, err := p.count(ctx, source, q)
	if err != nil {
		return err
	}
	var cuts [][]byte
	size := p.e.cfg.MaxFileResources
	if total > size {
		size = ceil(total, ceil(total, size)) // equal ranges leave no worker a rest
	}
	if total < 0 || total > size {
		if cuts, err = p.cuts(ctx, source, q, size); err != nil {
			return err
		}
	}
	parts := cutRange(part, cuts)
	share(parts, total)
	p.add(parts...)
	return nil
}

// ceil divides positive numbers and rounds up.
func ceil(a, b int64) int64 { return (a + b - 1) / b }

// count returns how many resources a query selects, or -1 if the source does not
// count.
func (p *planner) count(ctx context.Context, source ResourceSource, q Query) (int64, error) {
	counter, ok := source.(SourceCounter)
	if !ok {
		return -1, nil
	}
	n, err := counter.Count(ctx, q)
	if err != nil {
		return 0, sourceFault("count %s: %w", q.Type, err)
	}
	p.step()
	return n, nil
}

// share tells parts of about equal size what they have in sum, unless that is
// unknown.
func share(parts []Part, total int64) {
	if total < 0 {
		return
	}
	left := total
	for i := range parts {
		parts[i].Total = left / int64(len(parts)-i)
		left -= parts[i].Total
	}
}

func (p *planner) cuts(ctx context.Context, source ResourceSource, q Query, size int64) ([][]byte, error) {
	splitter, ok := source.(SourceSplitter)
	if !ok {
		return nil, nil
	}
	cuts, err := splitter.Split(ctx, q, size)
	if err != nil {
		return nil, sourceFault("split %s: %w", q.Type, err)
	}
	for i, cut := range cuts {
		if len(cut) == 0 || i > 0 && bytes.Equal(cut, cuts[i-1]) {
			return nil, sourceFault("split %s: the source gave an empty range", q.Type)
		}
	}
	p.step()
	return cuts, nil
}

// blockSize is how many resources a block is taken to have, to tell how many
// blocks make a part.
const blockSize = 50

// planBlocks plans the instances by which the export is organized. How many
// resources there are is known in sum only, so parts share it equally.
func (p *planner) planBlocks(ctx context.Context) error {
	part := Part{Kind: PartBlocks, Type: p.job.Request.OrganizeBy}
	owners := p.e.queryFor(p.job, part)
	owners.Since, owners.Until = time.Time{}, time.Time{}
	cuts, err := p.cuts(ctx, p.e.cfg.Source, owners, max(p.e.cfg.MaxFileResources/blockSize, 1))
	if err != nil {
		return err
	}
	parts := cutRange(part, cuts)
	total, err := p.countBlocks(ctx)
	if err != nil {
		return err
	}
	share(parts, total)
	p.add(parts...)
	return nil
}

// countBlocks returns how many resources blocks may have, each counted once, or -1
// if the source does not count.
func (p *planner) countBlocks(ctx context.Context) (total int64, err error) {
	for _, name := range p.e.blockTypes(p.job.Request) {
		n, err := p.count(ctx, p.e.cfg.Source, p.e.queryFor(p.job, Part{Type: name}))
		if n < 0 || err != nil {
			return n, err
		}
		total += n
	}
	return total, nil
}

// cutRange makes one part of each range between cuts. Their totals are unknown.
func cutRange(whole Part, cuts [][]byte) []Part {
	parts := make([]Part, 0, len(cuts)+1)
	var after []byte
	for _, cut := range append(slices.Clone(cuts), nil) {
		part := whole
		part.After, part.UpTo, part.Total = after, cut, -1
		parts = append(parts, part)
		after = cut
	}
	return parts
}

// asks reports whether a request may have resources of the type: this server
// exports it, and it was asked for.
func (e *Exporter) asks(req ExportRequest, name string) bool {
	return e.types[name] && (req.Types == nil || slices.Contains(req.Types, name))
}

// exports reports whether resources of the type are what a request asks for: it
// may have them, and the level can hold them. Where Provenance comes as
// associated data, it does not come for itself.
func (e *Exporter) exports(req ExportRequest, name string) bool {
	switch {
	case !e.asks(req, name):
	case req.Level != LevelSystem && !e.cfg.FHIRVersion.IsPatientCompartmentType(name):
	case name == provenanceType && req.addsProvenance():
	default:
		return true
	}
	return false
}

// blockTypes returns the types that can be in blocks, sorted. What belongs to
// another type than Patient is for the source to say.
//
// A Group is in no block of a Patient: it would be in that of each member, and
// tell each of all the others. With many members that is more than all else.
func (e *Exporter) blockTypes(req ExportRequest) []string {
	if req.OrganizeBy != patientType {
		return e.exportedTypes(req)
	}
	return filter(e.exportedTypes(req), func(name string) bool {
		return name != groupType && e.cfg.FHIRVersion.IsPatientCompartmentType(name)
	})
}

// exportedTypes returns all types that a request asks for, sorted, whether or
// not they have data.
func (e *Exporter) exportedTypes(req ExportRequest) []string {
	return normal(filter(lo.Keys(e.types), func(name string) bool { return e.exports(req, name) }))
}

// deletedTypes returns the types whose deletions a request asks for, sorted: also
// Provenance, where it comes as associated data.
func (e *Exporter) deletedTypes(req ExportRequest) []string {
	types := e.exportedTypes(req)
	if req.addsProvenance() {
		types = append(types, provenanceType)
	}
	return normal(types)
}

func scopeOf(job Job) Scope {
	req := job.Request
	return Scope{Tenant: job.Tenant, Level: req.Level, Group: req.Group, Patients: req.Patients}
}

// queryFor returns the query for all resources that a part of the job selects.
// Which Provenance belongs to exported resources has nothing to do with its own
// age.
func (e *Exporter) queryFor(job Job, part Part) Query {
	q := Query{Scope: scopeOf(job), Type: part.Type, After: part.After, UpTo: part.UpTo, AsOf: job.TransactionTime}
	if part.Kind == PartProvenance {
		return q
	}
	q.Since, q.Until = job.Request.Since, job.Request.Until
	q.Filters, _ = e.filtersFor(job.Request, part, part.Type)
	return q
}

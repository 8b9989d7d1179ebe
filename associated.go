package bulkexport

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"github.com/bulkexport/bulkexport/fhir"
)

// lookupIDs is how many resources a source is asked for at once.
const lookupIDs = 100

// provenance judges the Provenance of exported resources (Bulk Data Access,
// includeAssociatedData): it belongs to the export if one of its targets does.
// Whether a target does is asked of the source and of the pipeline of its type,
// so nothing has to be remembered of what was exported.
type provenance struct {
	*attempt
	own    *pipeline // of Provenance
	latest bool      // only the most recent one about a target
}

func (a *attempt) newProvenance(own *pipeline) *provenance {
	return &provenance{attempt: a, own: own, latest: slices.Contains(a.job.Request.Associated, LatestProvenance)}
}

// line judges a Provenance.
func (p *provenance) line(ctx context.Context, r Resource) (verdict, error) {
	found, err := fhir.ReadProvenance(r.JSON, p.e.cfg.BaseURLs...)
	if err != nil {
		return p.own.faulty("its targets cannot be read", err), nil
	}
	wanted, err := p.wanted(ctx, r.Key, found.Targets)
	if err != nil || !wanted {
		return verdict{}, err
	}
	return p.own.line(ctx, r)
}

// wanted reports whether one of the targets is exported and, if only the latest
// is asked for, whether this one is the latest about it.
func (p *provenance) wanted(ctx context.Context, key []byte, targets []fhir.Reference) (bool, error) {
	byType := map[string][]string{}
	for _, target := range targets {
		if p.e.exports(p.job.Request, target.Type) {
			byType[target.Type] = append(byType[target.Type], target.ID)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byType)) {
		ids := byType[name]
		if p.latest {
			var err error
			if ids, err = p.latestOf(ctx, key, name, ids); err != nil {
				return false, err
			}
		}
		if exported, err := p.anyExported(ctx, name, ids); err != nil || exported {
			return exported, err
		}
	}
	return false, nil
}

// latestOf returns those of the targets whose most recent Provenance this is.
func (p *provenance) latestOf(ctx context.Context, key []byte, targetType string, ids []string) ([]string, error) {
	q := Query{
		Scope: Scope{Tenant: p.job.Tenant, Level: LevelSystem}, Type: provenanceType, AsOf: p.job.TransactionTime,
	}
	var found []string
	for _, id := range ids {
		latest, err := p.e.cfg.Source.(SourceProvenance).LatestProvenance(ctx, q, targetType, id)
		if err != nil {
			return nil, sourceFault("find latest Provenance of a target: %w", err)
		}
		p.answers.Add(1)
		if bytes.Equal(latest, key) {
			found = append(found, id)
		}
	}
	return found, nil
}

// anyExported reports whether at least one of the resources is exported.
func (p *provenance) anyExported(ctx context.Context, resourceType string, ids []string) (bool, error) {
	for some := range slices.Chunk(ids, lookupIDs) {
		if exported, err := p.someExported(ctx, resourceType, some); err != nil || exported {
			return exported, err
		}
		p.answers.Add(1)
	}
	return false, nil
}

func (p *provenance) someExported(ctx context.Context, resourceType string, ids []string) (bool, error) {
	part := Part{Type: resourceType}
	line, err := p.targetPipeline(part)
	if err != nil {
		return false, err
	}
	for r, err := range p.e.cfg.Source.(SourceLookup).Lookup(ctx, p.e.queryFor(p.job, part), ids) {
		if err != nil {
			return false, sourceFault("look up %s: %w", resourceType, err)
		}
		found, err := line.selects(ctx, r.JSON)
		if err != nil || found.line != nil {
			return err == nil, err
		}
	}
	return false, nil
}

// targetPipeline is the pipeline that the resources of a type went through.
func (p *provenance) targetPipeline(part Part) (*pipeline, error) {
	if line := p.lines[part.Type]; line != nil {
		return line, nil
	}
	line, err := p.e.newPipeline(p.job, part, part.Type)
	if err == nil {
		p.lines[part.Type] = line
	}
	return line, err
}

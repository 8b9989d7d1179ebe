package bulkexport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
)

// ParseRequest is the function of that name, and reports what this exporter
// does not support as well: a client learns of all faults at once. Who asks,
// which Groups and patients there are, and what time it is, is for
// [Exporter.KickOff] to look at.
func (e *Exporter) ParseRequest(p Parameters) (ExportRequest, error) {
	req, faults := parseRequest(p)
	e.checkParameters(&req, &faults)
	req.Ignored = faults.ignored
	return req, faults.err()
}

// checkRequest says whether this exporter can honour the request, and returns
// it in normal form, narrowed to what the caller may have. It asks the source
// about a Group and about patients only when all else is well.
func (e *Exporter) checkRequest(ctx context.Context, access Access, req ExportRequest) (ExportRequest, error) {
	faults := faultList{lenient: req.Lenient, ignored: slices.Clone(req.Ignored)}
	e.checkParameters(&req, &faults)
	if err := faults.err(); err != nil {
		return req, err
	}
	if e.isFuture(ctx, access.Tenant, req.Since) {
		faults.refuse(paramSince, "value", "the instant is in the future")
		return req, faults.err()
	}
	req, err := narrow(access, req)
	if err != nil {
		return req, err
	}
	if err := e.checkPopulation(ctx, access, &req, &faults); err != nil {
		return req, err
	}
	req.Ignored = faults.ignored
	return req, faults.err()
}

// checkParameters leaves in the request what can be honoured.
func (e *Exporter) checkParameters(req *ExportRequest, faults *faultList) {
	e.checkLevel(*req, faults)
	req.Patients = e.checkPatients(*req, faults)
	req.Types = e.checkTypes(*req, faults)
	req.checkTimes(faults)
	req.Elements = e.checkElements(req.Elements, faults)
	req.Associated = e.checkAssociated(*req, faults)
	req.TypeFilters = e.checkTypeFilters(req.TypeFilters, faults)
	req.OrganizeBy = e.checkOrganizeBy(*req, faults)
}

func (e *Exporter) checkLevel(req ExportRequest, faults *faultList) {
	if !slices.Contains(e.levels(), req.Level) {
		faults.refuse("level", "not-supported", fmt.Sprintf("there is no %s export", quote(string(req.Level))))
	}
}

// levels returns the export levels that the source can serve.
func (e *Exporter) levels() []Level {
	levels := []Level{LevelSystem, LevelPatient}
	if _, ok := e.cfg.Source.(SourceGroups); ok {
		levels = append(levels, LevelGroup)
	}
	return levels
}

// checkTypes never makes a list that names types into one of all types.
func (e *Exporter) checkTypes(req ExportRequest, faults *faultList) []string {
	if len(req.Types) == 0 {
		return nil
	}
	compartment := e.cfg.FHIRVersion.IsPatientCompartmentType
	exported := filter(normal(slices.Clone(req.Types)), func(name string) bool {
		if !e.types[name] {
			faults.add(paramType, "not-supported", "this server does not export "+quote(name))
		}
		return e.types[name]
	})
	switch {
	case len(exported) == 0 && req.Lenient:
		faults.refuse(paramType, "not-supported", "this server exports none of the types")
	case req.Level != LevelSystem && len(exported) > 0 && !slices.ContainsFunc(exported, compartment):
		faults.refuse(paramType, "not-supported",
			"none of the types can be in the Patient compartment; use the system-level export")
	}
	return exported
}

// maxAhead is how far ahead the clock of a client may be.
const maxAhead = 5 * time.Minute

// isFuture reports whether an instant is one that no export can have named as its
// transactionTime. As _since it would select nothing, which is never what was
// meant. The source has a clock of its own, which may have been ahead before ours
// was put right, and does not go back.
func (e *Exporter) isFuture(ctx context.Context, tenant string, instant time.Time) bool {
	if !instant.After(e.now().Add(maxAhead)) {
		return false
	}
	clock, ok := e.cfg.Source.(SourceClock)
	if !ok {
		return true
	}
	at, err := clock.TransactionTime(ctx, tenant)
	if err != nil {
		e.log.WarnContext(ctx, "read transaction time", "error", err)
	}
	return err != nil || instant.After(at.Add(maxAhead))
}

func (req *ExportRequest) checkTimes(faults *faultList) {
	if !req.Until.IsZero() && !req.Until.After(req.Since) {
		faults.refuse(paramUntil, "value", "the instant is not later than _since")
	}
}

// The bounds of lists whose items cost time: elements when they are checked,
// searches, with all that they list, for each resource.
const (
	maxItems       = 1000
	maxSearchBytes = 64 << 10
)

// fewEnough refuses a list that is too long.
func fewEnough(parameter string, list []string, faults *faultList) bool {
	if len(list) > maxItems {
		faults.refuse(parameter, "too-costly", fmt.Sprintf("it has more than %d items", maxItems))
		return false
	}
	return true
}

// shortEnough refuses searches that list too much.
func shortEnough(filters []string, faults *faultList) bool {
	if lo.SumBy(filters, func(text string) int { return len(text) }) > maxSearchBytes {
		faults.refuse(paramTypeFilter, "too-costly", fmt.Sprintf("it is longer than %d bytes in all", maxSearchBytes))
		return false
	}
	return true
}

func (e *Exporter) checkElements(elements []string, faults *faultList) []string {
	if !fewEnough(paramElements, elements, faults) {
		return nil
	}
	version := e.cfg.FHIRVersion
	return filter(elements, func(element string) bool {
		typeName, name, typed := strings.Cut(element, ".")
		known := typed && version.HasElement(typeName, name) ||
			!typed && slices.ContainsFunc(e.cfg.ResourceTypes, func(t string) bool { return version.HasElement(t, element) })
		switch {
		case known:
			return true
		case typed && !version.IsResourceType(typeName):
			faults.add(paramElements, "value", fmt.Sprintf("%s does not begin with a FHIR resource type", quote(element)))
		case strings.Contains(name, "."):
			faults.add(paramElements, "not-supported", quote(element)+" is not an element at the root of a resource")
		default:
			faults.add(paramElements, "value", quote(element)+" is not an element of a resource")
		}
		return false
	})
}

// filter keeps nil where nothing is left.
func filter(list []string, keep func(string) bool) []string {
	var kept []string
	for _, item := range list {
		if keep(item) {
			kept = append(kept, item)
		}
	}
	return kept
}

func (e *Exporter) checkAssociated(req ExportRequest, faults *faultList) []string {
	known := e.associated()
	kept := filter(normal(slices.Clone(req.Associated)), func(value string) bool {
		source, own := e.cfg.AssociatedData[value]
		switch {
		case !slices.Contains(known, value):
			faults.add(paramAssociated, "not-supported", fmt.Sprintf("this server has no %s", quote(value)))
		case own && !serves(source, req):
			faults.add(paramAssociated, "not-supported",
				fmt.Sprintf("%s is not available for a Group or for single patients", quote(value)))
		default:
			return true
		}
		return false
	})
	if slices.Contains(kept, RelevantProvenance) {
		// The larger set wins (Bulk Data Access, includeAssociatedData).
		kept = filter(kept, func(value string) bool { return value != LatestProvenance })
	}
	return kept
}

// serves reports whether a source can be asked for the population of a request.
func serves(source ResourceSource, req ExportRequest) bool {
	_, groups := source.(SourceGroups)
	_, patients := source.(SourcePatients)
	return (groups || req.Level != LevelGroup) && (patients || !req.Patients.Limited)
}

// associated returns the values of includeAssociatedData that are possible.
func (e *Exporter) associated() []string {
	values := lo.Keys(e.cfg.AssociatedData)
	if _, ok := e.cfg.Source.(SourceLookup); ok && e.types[provenanceType] {
		values = append(values, RelevantProvenance)
		if _, ok := e.cfg.Source.(SourceProvenance); ok {
			values = append(values, LatestProvenance)
		}
	}
	return normal(values)
}

func (e *Exporter) checkTypeFilters(filters []string, faults *faultList) []string {
	if !fewEnough(paramTypeFilter, filters, faults) || !shortEnough(filters, faults) {
		return nil
	}
	return filter(filters, func(text string) bool {
		if !e.searches() {
			faults.add(paramTypeFilter, "not-supported", "this server does not support the parameter")
			return false
		}
		compiled, err := search.Compile(text, search.Options{})
		var fault *search.Error
		switch {
		case errors.As(err, &fault):
			faults.add(paramTypeFilter, fault.IssueCode(), searchReason(fault))
		case err != nil:
			faults.add(paramTypeFilter, "value", quote(text)+" is not a FHIR search")
		case !e.types[compiled.Type()]:
			faults.add(paramTypeFilter, "not-supported", "this server does not export "+quote(compiled.Type()))
		default:
			return true
		}
		return false
	})
}

// searchReason names the parameter of a search as it can be repeated.
func searchReason(fault *search.Error) string {
	where := fault.Type
	if fault.Parameter != "" {
		where += "?" + fault.Parameter
	}
	if where == "" {
		return fault.Reason
	}
	return plain(where) + ": " + fault.Reason
}

// searches reports whether there are search parameters: those of R4.
func (e *Exporter) searches() bool { return e.cfg.FHIRVersion == fhir.R4 }

func (e *Exporter) checkOrganizeBy(req ExportRequest, faults *faultList) string {
	organizer, ok := e.cfg.Source.(SourceOrganizer)
	switch name := req.OrganizeBy; {
	case name == "":
	case !ok || !organizer.OrganizesBy(name):
		faults.add(paramOrganizeBy, "not-supported", fmt.Sprintf("this server cannot organize files by %s", quote(name)))
	case len(req.Associated) > 0:
		faults.add(paramOrganizeBy, "not-supported", "it cannot be combined with includeAssociatedData")
	default:
		return name
	}
	return ""
}

// checkPatients never makes a list of patients into one of all, however lenient
// the request.
func (e *Exporter) checkPatients(req ExportRequest, faults *faultList) PatientSet {
	set := PatientSet{Limited: req.Patients.Limited || len(req.Patients.IDs) > 0}
	if !set.Limited {
		return set
	}
	set.IDs = normal(slices.Clone(req.Patients.IDs))
	if _, ok := e.cfg.Source.(SourcePatients); !ok {
		faults.refuse(paramPatient, "not-supported", "this server does not support the parameter")
	} else if req.Level == LevelSystem {
		faults.refuse(paramPatient, "not-supported", "the system-level export does not have the parameter")
	}
	return set
}

// narrow restricts a request to the types that the caller may export.
func narrow(access Access, req ExportRequest) (ExportRequest, error) {
	switch {
	case access.Types == nil:
		return req, nil
	case len(access.Types) == 0:
		return req, forbidden(paramType, "this client may not export any resource type")
	case req.Level == LevelGroup && !access.allows(groupType):
		return req, forbidden("level", "this client may not export Group")
	case req.Patients.Limited && !access.allows(patientType): // what is unknown is told
		return req, forbidden(paramPatient, "this client may not export Patient")
	case req.addsProvenance() && !access.allows(provenanceType):
		return req, forbidden(paramAssociated, "this client may not export Provenance")
	}
	if req.Types == nil {
		req.Types = normal(slices.Clone(access.Types))
		return req, nil
	}
	for _, name := range req.Types {
		if !access.allows(name) {
			return req, forbidden(paramType, "this client may not export "+name)
		}
	}
	return req, nil
}

// addsProvenance reports whether Provenance comes as associated data.
func (req ExportRequest) addsProvenance() bool {
	return slices.ContainsFunc(req.Associated, func(value string) bool {
		return value == LatestProvenance || value == RelevantProvenance
	})
}

func forbidden(parameter, reason string) error {
	return &RequestError{Parameter: parameter, Code: "forbidden", Reason: reason, Err: ErrInsufficientScope}
}

// checkPopulation asks host and source about the Group and the patients.
func (e *Exporter) checkPopulation(ctx context.Context, access Access, req *ExportRequest, faults *faultList) error {
	if req.Level == LevelGroup {
		if err := e.checkGroup(ctx, access, req.Group); err != nil {
			return err
		}
	}
	if !req.Patients.Limited {
		return nil
	}
	scope := Scope{Tenant: access.Tenant, Level: req.Level, Group: req.Group}
	unknown, err := e.cfg.Source.(SourcePatients).UnknownPatients(ctx, scope, req.Patients.IDs)
	if err != nil {
		return fmt.Errorf("look up patients: %w", err)
	}
	for _, id := range unknown {
		faults.add(paramPatient, "not-found", "there is no Patient/"+id+" here")
	}
	req.Patients.IDs, _ = lo.Difference(req.Patients.IDs, unknown)
	return nil
}

func (e *Exporter) checkGroup(ctx context.Context, access Access, id string) error {
	if !fhir.ValidID(id) {
		return ErrGroupNotFound
	}
	if e.cfg.GroupAccess != nil {
		if err := e.cfg.GroupAccess(ctx, access, id); err != nil {
			return fmt.Errorf("ask for access to a Group: %w", err)
		}
	}
	if err := e.cfg.Source.(SourceGroups).CheckGroup(ctx, access.Tenant, id); err != nil {
		return fmt.Errorf("look up Group: %w", err)
	}
	return nil
}

// Package bulkexport gives a Go FHIR server the HL7 FHIR Bulk Data Access
// export ($export): asynchronous kick-off, status polling, NDJSON files, cancel.
//
// A host hands it three things: a [ResourceSource] that reads its resources, a
// [JobStore] that remembers jobs, and an [OutputSink] that keeps files. [New]
// makes an [Exporter] of them, [Exporter.Start] begins to work, and package
// httpadapter puts it on the wire. Adapters for databases, files, object storage
// and memory are in the folders source, store and sink, and one for a job engine in
// runner; each has a package (sourcetest, storetest, sinktest, runnertest) that proves an
// adapter of your own.
//
// Data flows one way: request → plan → part → line → file → manifest. A
// kick-off touches no resource. A part is a key range of one type, the unit of
// work and of retry; its files are written whole or not at all, and count only
// once the store knows them, so that each resource is on exactly one line of
// exactly one file however often a process dies.
package bulkexport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/bulkexport/bulkexport/fhir"
)

// Config is what [New] makes an [Exporter] of. Source, Store and Sink are
// required; every other field has a default.
type Config struct {
	// Source reads the resources. Required.
	Source ResourceSource
	// Store remembers jobs. Required.
	Store JobStore
	// Sink keeps output files. Required.
	Sink OutputSink
	// Runner performs the work. Defaults to NewPool(0), in this process. The
	// exporter starts and stops it.
	Runner Runner

	// FHIRVersion says which types there are and what is in the Patient
	// compartment. Defaults to R4. Searches (_typeFilter) are those of R4, and
	// refused for any other version.
	FHIRVersion fhir.Version
	// BaseURLs are the host's own FHIR base URLs. An absolute reference below one of
	// them counts as one to a resource here, in searches and in targets of
	// Provenance. Defaults to none: only relative references count.
	BaseURLs []string
	// ResourceTypes are the types this server exports. Defaults to all types of
	// the FHIR version; which of them have data is the source's to say.
	ResourceTypes []string
	// Filter, if not nil, decides about each resource.
	Filter FilterFunc
	// Attachment, if not nil, decides about each Attachment in a resource.
	Attachment AttachmentFunc
	// GroupAccess, if not nil, decides whether a caller may export a Group: the
	// host's business rules (Bulk Data Access, "Group level export"). It returns
	// nil, [ErrForbidden], or [ErrGroupNotFound] where the caller is not to know.
	GroupAccess func(ctx context.Context, access Access, groupID string) error
	// AssociatedData are this server's own values of includeAssociatedData, each
	// of which begins with "_". Its source is asked for what to add to the
	// export, by the same queries as Source, and must not repeat what that has.
	// _type and Access.Types hold for it too, but at Patient and Group level it
	// may add types from outside the Patient compartment.
	AssociatedData map[string]ResourceSource
	// Observer is told what happens.
	Observer Observer
	// Logger gets job ids, types, counts and durations, and the causes of errors;
	// never resource content. Defaults to slog.Default().
	Logger *slog.Logger

	// MaxFileResources is the highest number of lines in a file. A type with
	// more resources is also read in parallel, by ranges of about this size, if
	// the source can. Defaults to 500,000.
	MaxFileResources int64
	// MaxFileBytes is the highest length of a file; only a single resource that
	// is longer exceeds it. Defaults to 256 MiB.
	MaxFileBytes int64
	// GzipLevel has files stored as gzip, compressed while they are written: from 1,
	// which is fastest, to 9. Clients that accept gzip get the stored bytes; for
	// all others they are inflated on the way, ranges included. MaxFileBytes is
	// still about the lines. Defaults to 0: files are stored as they are, and
	// compressed for each download.
	GzipLevel int
	// ManifestFiles is how many files a page of a manifest has, where the client
	// allows several pages (allowPartialManifests). Defaults to 10.
	ManifestFiles int
	// MaxClientExports and MaxTenantExports are how many exports of a client, and
	// of all clients of a tenant, may be unfinished. A kick-off beyond that is a
	// [*LimitError]. Kick-offs at the same moment may exceed it by a few. Default
	// to 0, no limit.
	MaxClientExports, MaxTenantExports int
	// TTL is how long job and files are kept after the job has ended. Defaults
	// to 24 hours. Then they are gone for clients; a download that has begun goes
	// on, for at most as long again.
	TTL time.Duration
	// MaxDuration is how long an export may take from its kick-off on; then it
	// fails. Defaults to 7 days.
	MaxDuration time.Duration
	// MaxStoredBytes refuses kick-offs with a [*LimitError] while the files of all
	// exports are as long together. Those that run already may exceed it. Defaults
	// to 0, no limit.
	MaxStoredBytes int64
	// CleanUpInterval is how often a started exporter looks for files that belong
	// to no export, see [Exporter.CleanUp]. Defaults to 10 minutes; negative
	// leaves it to the host.
	CleanUpInterval time.Duration
	// MaxAttempts is how many attempts in a row may come to nothing before the
	// job fails. Between them are pauses, which double from half a second to
	// half a minute. Defaults to 10, which is about two minutes.
	MaxAttempts int
	// Lease is how long an attempt is believed alive without a sign of it: a
	// part whose process died is taken over after this time. Defaults to 15
	// seconds; at least 1 second.
	Lease time.Duration
	// Slice is how long an attempt works before it lets others have its turn, at
	// the end of a file. Defaults to 30 seconds.
	Slice time.Duration

	// StallTimeout is how long an attempt may go without a single resource, or
	// another answer of the source, before it is taken for hung, and ended as a
	// failure by cancelling its context, which the source must heed. Defaults to
	// 10 minutes.
	StallTimeout time.Duration

	// ProbeLimit is how long a probe of the source ([SourceProbe]) may take. While one
	// takes longer, workers read at half their pace, and with each further one at half
	// of that, down to a sixty-fourth; with each that is in time they read twice as
	// fast. Defaults to 200 milliseconds; negative has the source not probed.
	ProbeLimit time.Duration

	// Now is the clock of this machine. Defaults to time.Now. Where the store has a
	// clock that all processes can ask ([StoreClock]), that one counts: what Now says
	// is corrected by the difference, if that is more than a quarter of a second.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	if c.Runner == nil {
		c.Runner = NewPool(0)
	}
	if c.ResourceTypes == nil {
		c.ResourceTypes = c.FHIRVersion.ResourceTypes()
	}
	c.FHIRVersion = cmp.Or(c.FHIRVersion, fhir.R4)
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.MaxFileResources = cmp.Or(c.MaxFileResources, 500_000)
	c.MaxFileBytes = cmp.Or(c.MaxFileBytes, 256<<20)
	c.ManifestFiles = cmp.Or(c.ManifestFiles, 10)
	c.TTL = cmp.Or(c.TTL, 24*time.Hour)
	c.MaxDuration = cmp.Or(c.MaxDuration, 7*24*time.Hour)
	c.CleanUpInterval = cmp.Or(c.CleanUpInterval, 10*time.Minute)
	c.MaxAttempts = cmp.Or(c.MaxAttempts, 10)
	c.Lease = cmp.Or(c.Lease, 15*time.Second)
	c.Slice = cmp.Or(c.Slice, 30*time.Second)
	c.StallTimeout = cmp.Or(c.StallTimeout, 10*time.Minute)
	c.ProbeLimit = cmp.Or(c.ProbeLimit, 200*time.Millisecond)
	return c
}

func (c Config) validate() error {
	var faults []error
	check := func(ok bool, field, rule string) {
		if !ok {
			faults = append(faults, fmt.Errorf("bulkexport: Config.%s %s", field, rule))
		}
	}
	check(c.Source != nil, "Source", "is required")
	check(c.Store != nil, "Store", "is required")
	check(c.Sink != nil, "Sink", "is required")
	check(c.MaxFileResources > 0, "MaxFileResources", "must not be negative")
	check(c.MaxFileBytes > 0, "MaxFileBytes", "must not be negative")
	check(c.GzipLevel >= 0 && c.GzipLevel <= 9, "GzipLevel", "must be from 0 to 9")
	check(c.ManifestFiles > 0, "ManifestFiles", "must not be negative")
	check(c.MaxClientExports >= 0, "MaxClientExports", "must not be negative")
	check(c.MaxTenantExports >= 0, "MaxTenantExports", "must not be negative")
	check(c.TTL > 0, "TTL", "must not be negative")
	check(c.MaxDuration > 0, "MaxDuration", "must not be negative")
	check(c.MaxStoredBytes >= 0, "MaxStoredBytes", "must not be negative")
	check(c.MaxAttempts > 0, "MaxAttempts", "must not be negative")
	check(c.Lease >= time.Second, "Lease", "must be at least a second")
	check(c.Slice > 0, "Slice", "must not be negative")
	check(c.StallTimeout > 0, "StallTimeout", "must not be negative")
	check(c.FHIRVersion.Valid(), "FHIRVersion", "is not one that package fhir knows")
	for _, name := range c.ResourceTypes {
		check(c.FHIRVersion.IsResourceType(name), "ResourceTypes", fmt.Sprintf("has %q, which is no FHIR type", name))
	}
	for name, source := range c.AssociatedData {
		check(strings.HasPrefix(name, "_"), "AssociatedData", fmt.Sprintf("has %q, which does not begin with _", name))
		check(source != nil, "AssociatedData", fmt.Sprintf("has no source for %q", name))
	}
	return errors.Join(faults...)
}

// Exporter runs exports. Its methods are safe for concurrent use.
type Exporter struct {
	cfg    Config
	types  map[string]bool
	log    *slog.Logger
	clock  *clock
	brake  *brake
	leases leaseWatch
	polled standings
	// limiter is that of the store, or one in memory.
	limiter Limiter

	mu      sync.Mutex
	stop    context.CancelFunc // ends what runs in the background; nil before Start
	ended   chan struct{}      // closed when that has returned
	stopped bool
}

// New checks the configuration and returns an exporter, which accepts jobs at
// once and works on them from [Exporter.Start] on. The error names every field
// that is wrong.
func New(cfg Config) (*Exporter, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	types := make(map[string]bool, len(cfg.ResourceTypes))
	for _, name := range cfg.ResourceTypes {
		types[name] = true
	}
	e := &Exporter{types: types, log: cfg.Logger, brake: newBrake(cfg)}
	if revisions, ok := cfg.Store.(StoreRevisions); ok {
		e.polled.revisions = timedRevisions{revisions}
	}
	shared, _ := cfg.Store.(StoreClock)
	e.clock = newClock(cfg.Now, shared)
	e.limiter = NewLimiter()
	if counts, ok := cfg.Store.(Limiter); ok {
		e.limiter = timedLimiter{counts}
	}
	cfg.Store = timedStore{cfg.Store}
	e.cfg = cfg
	return e, nil
}

func (e *Exporter) now() time.Time { return e.clock.now() }

// Now returns what time it is for exports: by the clock of the store, if it has one.
func (e *Exporter) Now() time.Time { return e.now() }

// Start begins to work: on the jobs that the store says are unfinished, and on
// those to come. It returns at once; only the values of ctx are used. A second
// call does nothing; after Stop the error is [ErrStopped].
func (e *Exporter) Start(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.stopped:
		return ErrStopped
	case e.stop != nil:
		return nil
	}
	upkeep := e.upkeep()
	if scheduler, ok := e.cfg.Runner.(RunnerScheduler); ok {
		for _, u := range upkeep {
			if err := scheduler.Schedule(u.what, u.every, u.do); err != nil {
				return fmt.Errorf("schedule %s: %w", u.what, err)
			}
		}
		upkeep = nil
	}
	if err := e.cfg.Runner.Start(ctx, e.Perform); err != nil {
		return fmt.Errorf("start runner: %w", err)
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop, e.ended = stop, make(chan struct{})
	go e.runBackground(background, upkeep, e.ended)
	return nil
}

// Stop takes no more jobs, interrupts the work and waits until it has ended,
// or until ctx ends, whose error it then returns. What was interrupted goes on
// at the next Start on the same store. Stopping twice, or before Start, is fine.
func (e *Exporter) Stop(ctx context.Context) error {
	e.mu.Lock()
	e.stopped = true
	stop, ended := e.stop, e.ended
	e.mu.Unlock()
	if stop == nil {
		return nil
	}
	stop()
	if err := e.cfg.Runner.Stop(ctx); err != nil {
		return fmt.Errorf("stop runner: %w", err)
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// KickOff accepts an export and returns its job. It reads no resource, but may
// ask the source about a Group and patients.
//
// Errors: [*RequestError], possibly several joined, for what cannot be
// honoured; [ErrForbidden] for what this caller may not have, [ErrInsufficientScope] if that is a type;
// [ErrGroupNotFound]; [*LimitError] where there are too many exports already;
// [ErrStopped].
func (e *Exporter) KickOff(ctx context.Context, access Access, req ExportRequest) (Job, error) {
	e.mu.Lock()
	stopped := e.stopped
	e.mu.Unlock()
	if stopped {
		return Job{}, ErrStopped
	}
	e.clock.compare(ctx)
	req, err := e.checkRequest(ctx, access, req)
	if err != nil {
		return Job{}, err
	}
	if err := e.checkLimits(ctx, access.Caller); err != nil {
		return Job{}, err
	}
	now := e.now()
	job := Job{
		ID:        newJobID(),
		Tenant:    access.Tenant,
		Client:    access.Client,
		Request:   req,
		State:     JobAccepted,
		CreatedAt: now,
		Deadline:  now.Add(e.cfg.MaxDuration),
	}
	if err := e.cfg.Store.CreateJob(ctx, job); err != nil {
		return Job{}, fmt.Errorf("create export job: %w", err)
	}
	e.log.InfoContext(ctx, "export accepted", "job", job.ID, "level", req.Level, "types", req.Types)
	e.cfg.Observer.jobAccepted(ctx, job)
	e.enqueue(ctx, job, dueTasks(job, nil, e.now()))
	return job, nil
}

// job returns a job that the caller may see.
func (e *Exporter) job(ctx context.Context, caller Caller, jobID string) (Job, error) {
	job, err := e.readJob(ctx, jobID)
	if err == nil && job.owner() != caller {
		return Job{}, ErrJobNotFound
	}
	return job, err
}

// readJob returns a job that its owner may see.
func (e *Exporter) readJob(ctx context.Context, jobID string) (Job, error) {
	if !ValidJobID(jobID) {
		return Job{}, ErrJobNotFound
	}
	e.clock.compare(ctx)
	job, err := e.cfg.Store.Job(ctx, jobID)
	if err != nil {
		return Job{}, fmt.Errorf("read job %s: %w", jobID, err)
	}
	if !job.visibleTo(job.owner(), e.now()) {
		return Job{}, ErrJobNotFound
	}
	return job, nil
}

// Delete ends a job, running or not. From its return on, status and files are
// [ErrJobNotFound] for everybody; files are removed in the background (Bulk
// Data Access, "Bulk Data Delete Request"). A job that is not this caller's is
// ErrJobNotFound, and one with types that the caller may not export (any more) is
// [ErrInsufficientScope].
func (e *Exporter) Delete(ctx context.Context, access Access, jobID string) error {
	if !ValidJobID(jobID) {
		return ErrJobNotFound
	}
	e.clock.compare(ctx)
	job, err := e.cfg.Store.UpdateJob(ctx, jobID, func(j *Job) error {
		if !j.visibleTo(access.Caller, e.now()) {
			return ErrJobNotFound
		}
		if !covers(access, *j) {
			return ErrInsufficientScope
		}
		return j.markDeleted(e.now())
	})
	if err != nil {
		return fmt.Errorf("delete job %s: %w", jobID, err)
	}
	e.log.InfoContext(ctx, "export deleted", "job", jobID)
	e.cfg.Observer.jobEnded(ctx, job)
	e.cancelTasks(ctx, jobID)
	e.enqueue(ctx, job, dueTasks(job, nil, e.now()))
	return nil
}

// cancelTasks interrupts the work on a job at once where the runner can. Else
// workers notice at their next heartbeat.
func (e *Exporter) cancelTasks(ctx context.Context, jobID string) {
	canceler, ok := e.cfg.Runner.(RunnerCanceler)
	if !ok {
		return
	}
	if err := canceler.CancelJob(ctx, jobID); err != nil {
		e.log.WarnContext(ctx, "cancel tasks", "job", jobID, "error", err)
	}
}

// enqueue hands tasks to the runner. Trouble is only logged: the sweeper finds
// whatever is due.
func (e *Exporter) enqueue(ctx context.Context, job Job, tasks []Task) {
	if err := e.tryEnqueue(ctx, tasks); err != nil {
		e.log.WarnContext(ctx, "enqueue tasks; the next sweep will", "job", job.ID, "error", err)
	}
}

func (e *Exporter) tryEnqueue(ctx context.Context, tasks []Task) error {
	if len(tasks) == 0 {
		return nil
	}
	err := e.cfg.Runner.Enqueue(ctx, tasks...)
	if errors.Is(err, ErrStopped) {
		return nil
	}
	return err
}

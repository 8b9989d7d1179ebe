package faulttest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/bulkexport/bulkexport"
)

// file is what a client sees of an output file.
type file struct {
	name, resourceType, continues string
	kind                          bulkexport.FileKind
	count, size                   int64
	sha256                        string
}

func fileOf(f bulkexport.OutputFile) file {
	return file{f.PublicName, f.Type, f.ContinuesIn, f.Kind, f.Count, f.Size, f.SHA256}
}

// client looks at an export as its client does, through a process that nothing
// happens to, and notes what must not be.
type client struct {
	exporter *bulkexport.Exporter
	access   bulkexport.Access
	marker   string
	file     string // one that the export has in the end; empty if none is known

	mu       sync.Mutex
	id       string // the export that the client knows of
	deleting bool   // a DELETE was sent, and its answer is not known
	deleted  bool
	last     bulkexport.Status
	shown    map[int][]file // pages by number
	faults   []error
}

// look polls the status once and checks what it may say now.
func (c *client) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id == "" || c.deleting && !c.deleted {
		return
	}
	status, err := c.exporter.Status(context.Background(), c.access, c.id)
	switch {
	case c.deleted:
		if !errors.Is(err, bulkexport.ErrJobNotFound) {
			c.note(broken(Deleted, "the status of a deleted export is %q, %v", status.Job.State, err))
		}
	case err != nil:
		c.note(broken(Ends, "the status cannot be had: %v", err))
	default:
		c.compare(status)
		c.last = status
	}
}

func (c *client) note(err error) { c.faults = append(c.faults, err) }

// compare checks a status against the one before.
func (c *client) compare(now bulkexport.Status) {
	before, after := c.last.Progress, now.Progress
	was, _ := before.Fraction()
	is, _ := after.Fraction()
	switch {
	case now.Job.State == bulkexport.JobFailed:
		c.note(broken(Ends, "the export has failed: %s", now.Job.FailureReason))
	case after.Done < before.Done:
		c.note(broken(Progress, "from %d resources back to %d", before.Done, after.Done))
	case is < was:
		c.note(broken(Progress, "from %.2f back to %.2f", was, is))
	case is == 1 && now.Job.State != bulkexport.JobCompleted:
		c.note(broken(Progress, "it is at its end while the export is %s", now.Job.State))
	}
	fixed := c.last.Job.TransactionTime
	if !fixed.IsZero() && !now.Job.TransactionTime.Equal(fixed) {
		c.note(broken(OneTime, "it was %s and is %s", fixed, now.Job.TransactionTime))
	}
	if c.last.Job.State.Ended() && now.Job.State != c.last.Job.State {
		c.note(broken(Final, "the export was %s and is %s", c.last.Job.State, now.Job.State))
	}
	c.compareFiles(now)
}

func (c *client) compareFiles(now bulkexport.Status) {
	if now.Job.State != bulkexport.JobCompleted && !now.Job.Request.AllowPartial {
		if now.Ready || len(now.Files) > 0 {
			c.note(broken(Hidden, "%d files are shown while the export is %s", len(now.Files), now.Job.State))
		}
		c.refused(bulkexport.ErrFileNotFound, Hidden)
		return
	}
	for now.Ready {
		files := make([]file, 0, len(now.Files))
		for _, f := range now.Files {
			files = append(files, fileOf(f))
		}
		if shown, ok := c.shown[now.Page]; ok && !slices.Equal(shown, files) {
			c.note(broken(Final, "page %d of the manifest had %v and has %v", now.Page, shown, files))
		}
		c.shown[now.Page] = files
		if !now.More {
			return
		}
		var err error
		if now, err = c.exporter.StatusPage(context.Background(), c.access, c.id, now.Page+1); err != nil {
			c.note(broken(Final, "a page of the manifest that follows cannot be had: %v", err))
			return
		}
	}
}

// knows reports whether the client has an export, not deleted, and whether the
// transactionTime of it is fixed and it has not ended.
func (c *client) knows() (hasJob, running bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hasJob = c.id != "" && !c.deleting
	job := c.last.Job
	return hasJob, hasJob && !job.TransactionTime.IsZero() && !job.State.Ended()
}

func (c *client) isDeleted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deleted
}

// has makes an export the one that the client knows of.
func (c *client) has(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.id = id
}

// sends notes that the client sends a DELETE, until it has an answer.
func (c *client) sends() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deleting = true
}

// deletes notes that the export was deleted, and looks.
func (c *client) deletes() {
	c.mu.Lock()
	c.deleting, c.deleted = true, true
	c.mu.Unlock()
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused(bulkexport.ErrJobNotFound, Deleted)
}

// refused demands that a file that the export has, or will have, cannot be
// opened now.
func (c *client) refused(want error, i Invariant) {
	if c.file == "" {
		return
	}
	opened, err := c.exporter.OpenFile(context.Background(), c.access, c.id, c.file)
	if err == nil {
		_ = opened.Close()
	}
	if !errors.Is(err, want) {
		c.note(broken(i, "opening a file is not refused as it should be, but says %v", err))
	}
}

// fault returns the first thing that must not be.
func (c *client) fault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.faults) > 0 {
		return c.faults[0]
	}
	return nil
}

// result is a completed export.
type result struct {
	files   []file
	empty   []string
	dropped int64
	// stored are the names in the sink.
	stored []string
	// marked is true if a file has the marker.
	marked bool
}

// same compares two results as clients see them.
func (r result) same(other result) error {
	switch {
	case !slices.Equal(r.files, other.files):
		return broken(SameFiles, "the files are\n%v\nand without faults\n%v", lines(other.files), lines(r.files))
	case !slices.Equal(r.empty, other.empty):
		return broken(SameFiles, "the empty types are %v and without faults %v", other.empty, r.empty)
	case r.dropped != other.dropped:
		return broken(SameFiles, "%d resources were dropped and without faults %d", other.dropped, r.dropped)
	}
	return nil
}

func lines(files []file) string {
	var s strings.Builder
	for _, f := range files {
		fmt.Fprintf(&s, "  %+v\n", f)
	}
	return s.String()
}

// read downloads a completed export.
func (c *client) read(id string) (result, error) {
	ctx := context.Background()
	var r result
	for page := 1; ; page++ {
		status, err := c.exporter.StatusPage(ctx, c.access, id, page)
		if err != nil {
			return r, broken(Ends, "the status cannot be had: %v", err)
		}
		if status.Job.State != bulkexport.JobCompleted {
			return r, broken(Ends, "the export is %s: %s", status.Job.State, status.Job.FailureReason)
		}
		if fraction, _ := status.Progress.Fraction(); fraction != 1 {
			return r, broken(Progress, "a completed export is at %.2f", fraction)
		}
		if !status.Job.Request.AllowPartial { // else it depends on when the client looked
			r.empty, r.dropped = status.EmptyTypes, status.Dropped
		}
		for _, f := range status.Files {
			if err := c.download(id, f, &r); err != nil {
				return r, err
			}
		}
		if !status.More {
			return r, nil
		}
	}
}

func (c *client) download(id string, f bulkexport.OutputFile, r *result) error {
	opened, err := c.exporter.OpenFile(context.Background(), c.access, id, f.PublicName)
	if err != nil {
		return broken(Honest, "%s cannot be opened: %v", f.PublicName, err)
	}
	content, err := io.ReadAll(opened)
	if err := errors.Join(err, opened.Close()); err != nil {
		return broken(Honest, "%s cannot be read: %v", f.PublicName, err)
	}
	hash := sha256.Sum256(content)
	said := fileOf(f)
	is := said
	is.size, is.count = int64(len(content)), int64(bytes.Count(content, []byte("\n")))
	is.sha256 = hex.EncodeToString(hash[:])
	if is != said {
		return broken(Honest, "the manifest says\n%+v\nand the content is\n%+v", said, is)
	}
	r.files = append(r.files, is)
	r.stored = append(r.stored, f.Name)
	r.marked = r.marked || c.marker != "" && bytes.Contains(content, []byte(c.marker))
	return nil
}

// newClient makes a client on parts that nothing happens to. Its exporter does
// no work.
func newClient(parts Parts, cfg bulkexport.Config, access bulkexport.Access, marker string) (*client, error) {
	cfg.Source, cfg.Store, cfg.Sink, cfg.Runner = parts.Source, parts.Store, parts.Sink, &queue{}
	exporter, err := bulkexport.New(cfg)
	return &client{exporter: exporter, access: access, marker: marker, shown: map[int][]file{}}, err
}

// report notes a fault that somebody else has seen.
func (c *client) report(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.note(err)
}

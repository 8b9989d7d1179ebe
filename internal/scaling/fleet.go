package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bulkexport/bulkexport/internal/bulkclient"
	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// config is how a fleet of real servers is set.
type config struct {
	nodes, workers   int
	maxFileResources int64
	maxFileBytes     int64         // 0 is no bound
	pace             float64       // resources per second of a worker; 0 is no bound
	lease            time.Duration // 0 is so long that nobody sweeps
	only             string        // the only type to export; empty is all
}

const noSweeps = 10 * time.Minute

// fleet are running servers.
type fleet struct {
	config
	lab       *lab
	client    *bulkclient.Client
	dir       string
	processes []*serverproc.Process
	pids      []int
}

func (l *lab) start(ctx context.Context, c config) (*fleet, error) {
	l.exports++
	f := &fleet{
		config: c, lab: l, client: bulkclient.New(time.Minute),
		dir: filepath.Join(l.dir, fmt.Sprintf("files-%d", l.exports)),
	}
	lease := c.lease
	if lease == 0 {
		lease = noSweeps
	}
	args := []string{
		"-dir", f.dir, "-db", l.url, "-runner", "river", "-poll-limit", "-1",
		"-workers", strconv.Itoa(c.workers), "-rate-per-worker", strconv.FormatFloat(c.pace, 'f', -1, 64),
		"-max-file-resources", strconv.FormatInt(c.maxFileResources, 10), "-lease", lease.String(),
	}
	if c.maxFileBytes > 0 {
		args = append(args, "-max-file-bytes", strconv.FormatInt(c.maxFileBytes, 10))
	}
	for range c.nodes {
		cmd := exec.CommandContext(ctx, l.binary, args...)
		starting, cancel := context.WithTimeout(ctx, time.Minute)
		node, err := serverproc.Start(starting, cmd)
		cancel()
		if err != nil {
			return f, errors.Join(err, f.stop(ctx))
		}
		f.processes, f.pids = append(f.processes, node), append(f.pids, cmd.Process.Pid)
	}
	return f, l.wait(ctx, settle)
}

// settle is what a fleet needs for its start: the leader is elected, the first sweep
// is made.
const settle = 3 * time.Second

func (f *fleet) stop(ctx context.Context) error {
	defer f.client.Close()
	var faults []error
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for _, node := range f.processes {
		select {
		case <-node.Ended(): // it was killed
		default:
			faults = append(faults, node.Terminate(ctx))
		}
	}
	return errors.Join(append(faults, os.RemoveAll(f.dir))...)
}

func (l *lab) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cpu returns the processor time of all nodes.
func (f *fleet) cpu() (sum float64, err error) {
	for _, pid := range f.pids {
		s, errStat := readStat(pid)
		if !errors.Is(errStat, os.ErrNotExist) {
			err = errors.Join(err, errStat)
		}
		sum += s.own
	}
	return sum, err
}

// outcome is what an export took.
type outcome struct {
	seconds  float64
	node     float64 // processor time of all nodes
	database reading
	parts    float64
	files    float64
	entry    float64 // bytes of a file in the manifest
	peak     float64 // memory of the first node
	stretch  float64 // how many times longer all that ran took, since others ran too
}

// queued is that of the nodes and of the database.
func (f *fleet) queued() (sum queued) {
	for _, pid := range f.pids {
		sum = sum.plus(queuedOf(pid))
	}
	for _, backend := range children(f.lab.postmaster) {
		sum = sum.plus(queuedOf(backend.pid))
	}
	return sum
}

// export makes one export, during which does what is to happen meanwhile.
func (f *fleet) export(ctx context.Context, meanwhile func(job string) error) (o outcome, err error) {
	before, err := f.lab.read(ctx)
	if err != nil {
		return o, err
	}
	cpu, err := f.cpu()
	if err != nil {
		return o, err
	}
	waits := f.queued()
	location, err := f.kickOff(ctx)
	if err != nil {
		return o, err
	}
	job := path.Base(location)
	if meanwhile != nil {
		if err := meanwhile(job); err != nil {
			return o, err
		}
	}
	if err := f.awaitEnd(ctx, job, &o); err != nil {
		return o, err
	}
	o.stretch = f.queued().stretch(waits)
	after, err := f.lab.read(ctx)
	if err != nil {
		return o, err
	}
	o.database = after.since(before)
	cpuAfter, err := f.cpu()
	o.node = cpuAfter - cpu
	if err == nil {
		o.entry, o.files, err = f.manifest(ctx, location)
	}
	if err == nil {
		o.peak, err = peakMemory(f.pids[0])
	}
	return o, err
}

func (f *fleet) kickOff(ctx context.Context) (location string, err error) {
	url := f.processes[0].BaseURL + "/fhir/$export"
	if f.only != "" {
		url += "?_type=" + f.only
	}
	a, err := f.client.Do(ctx, http.MethodGet, url)
	if err != nil {
		return "", err
	}
	if a.Code != http.StatusAccepted {
		return "", fmt.Errorf("kick-off: status %d", a.Code)
	}
	return a.Header.Get("Content-Location"), nil
}

// awaitEnd asks the job store and not the server, whose answers cost it more the more
// parts there are.
func (f *fleet) awaitEnd(ctx context.Context, job string, o *outcome) error {
	for {
		var state string
		err := f.lab.db.QueryRowContext(ctx, `SELECT state, coalesce(extract(epoch FROM
			(doc::json->>'endedAt')::timestamptz - (doc::json->>'createdAt')::timestamptz), 0),
			(SELECT count(*) FROM bulkexport_parts WHERE job_id = id)
			FROM bulkexport_jobs WHERE id = $1`+probe, job).Scan(&state, &o.seconds, &o.parts)
		switch {
		case err != nil:
			return err
		case state == "completed":
			return nil
		case state == "failed":
			return fmt.Errorf("the export failed\n%s", f.processes[0].Log())
		}
		if err := f.lab.wait(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

func (f *fleet) manifest(ctx context.Context, location string) (entry, files float64, err error) {
	a, err := f.client.Do(ctx, http.MethodGet, location)
	if err != nil {
		return 0, 0, err
	}
	var m struct{ Output []json.RawMessage }
	if err := json.Unmarshal(a.Body, &m); err != nil {
		return 0, 0, fmt.Errorf("manifest: %w", err)
	}
	return float64(len(a.Body)) / float64(max(len(m.Output), 1)), float64(len(m.Output)), nil
}

func (f *fleet) delete(ctx context.Context, location string) error {
	_, err := f.client.Do(ctx, http.MethodDelete, location)
	return err
}

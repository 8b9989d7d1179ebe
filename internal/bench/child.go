package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// childArgument has the command do a [task] instead of measuring.
const childArgument = "child"

// task is what a process that is measured does.
type task struct {
	Do     string // idle, export, serve, structs, byHand
	Source source
	// Folder is for its files. It is empty and exists.
	Folder  string
	Request bulkexport.ExportRequest
	Gzip    bool   // the files of the export are compressed
	Times   int    // how often byHand does it
	Profile string // file for a CPU profile; empty means none
}

// source says where the resources of an export come from.
type source struct {
	Kind string // repository, tables, memory
	// Database is the path of a SQLite database or a postgres:// URL.
	Database  string
	Resources int // in memory
}

// outcome is what a task reports.
type outcome struct {
	Resources, Bytes int64
	Files            int
	Seconds, CPU     float64
	PeakKiB          int64
	Mallocs          uint64 // during the export
	Workers          int
	Times            []float64 // seconds, of byHand
}

func (o outcome) cost() cost { return cost{wall: o.Seconds, cpu: o.CPU} }

func child(ctx context.Context, text string, input io.Reader, output io.Writer) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	stop, err := startProfile(t.Profile)
	if err != nil {
		return err
	}
	out, err := t.perform(ctx, input, output)
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	if out.PeakKiB, err = peakMemory(); err != nil {
		return err
	}
	out.Workers = runtime.GOMAXPROCS(0)
	return json.NewEncoder(output).Encode(out)
}

func (t task) perform(ctx context.Context, input io.Reader, output io.Writer) (outcome, error) {
	switch t.Do {
	case "structs":
		return structs(ctx, t)
	case "byHand":
		return byHand(ctx, t)
	}
	x, err := newExporting(ctx, t)
	if err != nil {
		return outcome{}, err
	}
	var out outcome
	switch t.Do {
	case "export":
		out, err = x.export(ctx, t.Request)
	case "serve":
		err = x.serve(ctx, input, output)
	case "idle":
	default:
		err = fmt.Errorf("unknown task %q", t.Do)
	}
	return out, errors.Join(err, x.stop(ctx))
}

func startProfile(path string) (stop func() error, err error) {
	if path == "" {
		return func() error { return nil }, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		return file.Close()
	}, nil
}

// peakMemory returns the largest resident size that this process has had, in KiB.
// What the operating system says of a child afterwards includes the moment of the
// fork, so each process asks for itself.
func peakMemory() (kib int64, err error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("peak memory is measured on Linux only: %w", err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(after, &kib)
	return kib, err
}

// run has a process of its own do a task, in a new folder, and then check what
// it has written, unless check is nil.
func (r *round) run(ctx context.Context, t task, check func(folder string) error) (outcome, error) {
	p, err := r.start(ctx, t)
	if err != nil {
		return outcome{}, err
	}
	out, err := p.wait()
	if err == nil && check != nil {
		err = check(p.folder)
	}
	return out, errors.Join(err, p.clear())
}

// process does a task.
type process struct {
	cmd    *exec.Cmd
	folder string
	input  io.Closer
	output *bufio.Reader
}

func (r *round) start(ctx context.Context, t task) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if t.Folder, err = os.MkdirTemp(r.dir, "out-"); err != nil {
		return nil, err
	}
	p := &process{folder: t.Folder}
	if r.profile != "" && !r.first() && (t.Do == "export" || t.Do == "serve") {
		t.Profile = r.profileName(t)
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, errors.Join(err, p.clear())
	}
	p.cmd = exec.CommandContext(ctx, self, childArgument, string(text))
	p.cmd.Stderr = os.Stderr
	output, errOut := p.cmd.StdoutPipe()
	input, errIn := p.cmd.StdinPipe()
	if err := errors.Join(errOut, errIn); err != nil {
		return nil, errors.Join(err, p.clear())
	}
	p.input, p.output = input, bufio.NewReader(output)
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, p.clear())
	}
	return p, nil
}

// profileName names the profile of a task; of those of a goal that are told apart
// by nothing the last one is kept.
func (r *round) profileName(t task) string {
	parts := []string{"goal" + strconv.Itoa(r.goal), t.Do, t.Source.Kind}
	if strings.HasPrefix(t.Source.Database, "postgres:") {
		parts = append(parts, "postgres")
	}
	if t.Gzip {
		parts = append(parts, "gzip")
	}
	switch {
	case t.Request.Elements != nil:
		parts = append(parts, "elements")
	case t.Request.TypeFilters != nil:
		parts = append(parts, "typefilter")
	case t.Request.Types != nil:
		parts = append(parts, "type")
	case t.Request.Group != "":
		parts = append(parts, "group-"+t.Request.Group)
	}
	name := strings.Join(parts, "-") + "-" + strconv.Itoa(r.number) + ".pprof"
	return filepath.Join(r.profile, name)
}

// wait has the process end, and returns what it reports.
func (p *process) wait() (outcome, error) {
	_ = p.input.Close()
	text, errRead := io.ReadAll(p.output)
	if err := errors.Join(errRead, p.cmd.Wait()); err != nil {
		return outcome{}, err
	}
	var out outcome
	return out, json.Unmarshal(bytes.TrimSpace(text), &out)
}

func (p *process) clear() error { return os.RemoveAll(p.folder) }

// shell measures how long a program takes whose output goes to a file, and hands
// the file to check, unless that is nil.
func (r *round) shell(
	ctx context.Context, check func(file string) error, name string, args ...string,
) (cost, error) {
	file, err := os.CreateTemp(r.dir, "reference-")
	if err != nil {
		return cost{}, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = file, os.Stderr
	watch := newStopwatch()
	if err := cmd.Run(); err != nil {
		return cost{}, err
	}
	took := cost{
		wall: watch.seconds(),
		cpu:  (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(),
	}
	if check != nil {
		return took, check(file.Name())
	}
	return took, nil
}

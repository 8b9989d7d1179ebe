// Command bench measures a whole export, from kick-off to manifest, against the
// sqlite3 shell writing the same rows to a file:
//
//	go run ./internal/bench -resources 100000,1000000 -rounds 5
//
// Both sides run in turn, on the same file system, with the database in the
// cache. Each export is a process of its own, so that its peak memory is its
// own. The reference does less: it checks, hashes and commits nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	dir    string
	sizes  []int
	rounds int
	child  string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	sizes := flags.String("resources", "100000,1000000", "`numbers` of resources to export")
	flags.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "bulkexport-bench"), "`folder` for databases and output")
	flags.IntVar(&o.rounds, "rounds", 5, "how many `times` to measure; the median counts")
	flags.StringVar(&o.child, "child", "", "used by the command itself: idle or export")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for size := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n < 1 {
			return o, fmt.Errorf("-resources: %q is not a number of resources", size)
		}
		o.sizes = append(o.sizes, n)
	}
	if o.rounds < 1 {
		return o, errors.New("-rounds must be positive")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.child != "" {
		return child(ctx, o)
	}
	if _, err := exec.LookPath("sqlite3"); err != nil {
		return fmt.Errorf("the reference is the sqlite3 shell (package sqlite3): %w", err)
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	var results []result
	for _, size := range o.sizes {
		r, err := measure(ctx, o, size)
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	return report(results)
}

// result is what was measured for one size: medians.
type result struct {
	resources int
	bytes     int64
	files     int
	reference time.Duration
	export    time.Duration
	ratio     float64
	idleKiB   int64
	peakKiB   int64
}

func measure(ctx context.Context, o options, size int) (result, error) {
	database := filepath.Join(o.dir, fmt.Sprintf("resources-%d.db", size))
	if err := prepare(ctx, database, size); err != nil {
		return result{}, err
	}
	r := result{resources: size}
	var references, exports, ratios []float64
	var peaks []float64
	for round := range o.rounds + 1 { // the first one fills the caches
		reference, err := shell(ctx, o, database)
		if err != nil {
			return r, err
		}
		export, err := fork(ctx, o, "export", size)
		if err != nil {
			return r, err
		}
		if export.Resources != int64(size) {
			return r, fmt.Errorf("exported %d of %d resources", export.Resources, size)
		}
		if round == 0 {
			continue
		}
		r.bytes, r.files = export.Bytes, export.Files
		references = append(references, reference.Seconds())
		exports = append(exports, export.Seconds)
		ratios = append(ratios, export.Seconds/reference.Seconds())
		peaks = append(peaks, float64(export.PeakKiB))
	}
	idle, err := fork(ctx, o, "idle", size)
	if err != nil {
		return r, err
	}
	r.reference, r.export = seconds(median(references)), seconds(median(exports))
	r.ratio, r.peakKiB, r.idleKiB = median(ratios), int64(median(peaks)), idle.PeakKiB
	return r, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// shell has the sqlite3 shell write all bodies to a file.
func shell(ctx context.Context, o options, database string) (time.Duration, error) {
	file, err := os.Create(filepath.Join(o.dir, "reference.ndjson"))
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	cmd := exec.CommandContext(ctx, "sqlite3", database, "select body from bulkexport_resources")
	cmd.Stdout, cmd.Stderr = file, os.Stderr
	began := time.Now()
	err = cmd.Run()
	return time.Since(began), err
}

// outcome is what an exporting process reports.
type outcome struct {
	Resources, Bytes int64
	Files            int
	Seconds          float64
	PeakKiB          int64
}

// fork runs a child. It reports its peak memory itself: what the operating
// system says of a child afterwards includes the moment of the fork.
func fork(ctx context.Context, o options, kind string, size int) (outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	cmd := exec.CommandContext(ctx, self, "-child", kind, "-dir", o.dir, "-resources", strconv.Itoa(size))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return outcome{}, fmt.Errorf("%s: %w", kind, err)
	}
	var out outcome
	return out, json.Unmarshal(text, &out)
}

func report(results []result) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "resources\tMB\tfiles\tsqlite3 shell\texport\tratio\tresources/s\tpeak RSS\tover idle\t")
	for _, r := range results {
		fmt.Fprintf(w, "%d\t%d\t%d\t%.2f s\t%.2f s\t%.2f\t%.0f\t%d MiB\t%d MiB\t\n",
			r.resources, r.bytes/1e6, r.files, r.reference.Seconds(), r.export.Seconds(), r.ratio,
			float64(r.resources)/r.export.Seconds(), r.peakKiB/1024, (r.peakKiB-r.idleKiB)/1024)
	}
	return w.Flush()
}

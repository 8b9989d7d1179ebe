package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"reflect"
	"runtime"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport/internal/scaling/model"
)

// measure makes the experiments, prints the constants, and keeps those that were not
// measured.
func measure(ctx context.Context, l *lab, o options, c model.Costs, output io.Writer) error {
	for _, e := range []struct {
		name string
		do   func(context.Context, *lab, options, *model.Costs) error
	}{
		{"store", measureStore},
		{"plan", measurePlan},
		{"idle", measureIdle},
		{"export", measureExport},
		{"river", measureRiver},
	} {
		if !o.wants(e.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "experiment", e.name)
		if err := e.do(ctx, l, o, &c); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	round(&c)
	if _, err := io.WriteString(output, constantsTable(c)); err != nil || o.write == "" {
		return err
	}
	text, err := json.MarshalIndent(c, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(o.write, append(text, '\n'), 0o644) //nolint:gosec // it is for all to read
}

// round leaves the digits that mean something.
func round(c *model.Costs) {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		v.Field(i).SetFloat(model.Digits(v.Field(i).Float(), 2))
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// idle is how long an idle node is watched.
const idle = 10 * time.Second

func measureIdle(ctx context.Context, l *lab, o options, c *model.Costs) error {
	var node, database, statements []float64
	f, err := l.start(ctx, config{nodes: 1, workers: 2, maxFileResources: 1000})
	if err != nil {
		return err
	}
	defer func() { _ = f.stop(ctx) }()
	for range o.rounds {
		before, err := l.read(ctx)
		if err != nil {
			return err
		}
		cpu, err := f.cpu()
		if err != nil {
			return err
		}
		if err := l.wait(ctx, idle); err != nil {
			return err
		}
		after, err := l.read(ctx)
		if err != nil {
			return err
		}
		cpuAfter, err := f.cpu()
		if err != nil {
			return err
		}
		d := after.since(before)
		node = append(node, (cpuAfter-cpu)/idle.Seconds())
		database = append(database, d.cpu/idle.Seconds())
		statements = append(statements, d.statements/idle.Seconds())
	}
	c.NodeIdle, c.DatabaseIdle, c.IdleStatements = median(node), median(database), median(statements)
	return nil
}

// Sizes of the exports that are compared: as few parts as there are types, many
// parts, and many files in few parts.
const (
	whole     = 1 << 40
	smallPart = 200
	smallFile = 1000
)

func measureExport(ctx context.Context, l *lab, o options, c *model.Costs) error {
	var runs [3][]outcome
	configs := [3]config{
		{nodes: 1, workers: 1, maxFileResources: whole, maxFileBytes: whole},
		{nodes: 1, workers: 1, maxFileResources: smallPart, maxFileBytes: whole},
		{nodes: 1, workers: 1, maxFileResources: whole, maxFileBytes: int64(smallFile * c.ResourceBytes)},
	}
	for range o.rounds {
		for i, config := range configs {
			run, err := l.exportOnce(ctx, config)
			if err != nil {
				return err
			}
			fmt.Fprintf(os.Stderr, "  %+v\n", run)
			runs[i] = append(runs[i], run)
		}
	}
	if err := l.measureLines(ctx, c); err != nil {
		return err
	}
	l.solve(runs, c)
	return l.measureMemory(ctx, c, runs[0][0].peak)
}

func (l *lab) exportOnce(ctx context.Context, config config) (outcome, error) {
	f, err := l.start(ctx, config)
	if err != nil {
		return outcome{}, err
	}
	run, err := f.export(ctx, nil)
	if errStop := f.stop(ctx); err == nil {
		err = errStop
	}
	return run, err
}

// measureLines asks for the lengths of resources.
func (l *lab) measureLines(ctx context.Context, c *model.Costs) error {
	return l.db.QueryRowContext(ctx,
		"SELECT avg(octet_length(body)) + 1, pg_table_size('bulkexport_resources')::float8 / count(*)"+
			" FROM bulkexport_resources"+probe).Scan(&c.ResourceBytes, &c.StoredBytes)
}

// solve takes the costs from the differences of the three exports.
func (l *lab) solve(runs [3][]outcome, c *model.Costs) {
	of := func(i int, value func(outcome) float64) float64 {
		values := make([]float64, len(runs[i]))
		for j, run := range runs[i] {
			values[j] = value(run)
		}
		return median(values)
	}
	node := func(o outcome) float64 { return o.node - o.seconds*c.NodeIdle }
	database := func(o outcome) float64 { return o.database.cpu - o.seconds*c.DatabaseIdle }
	statements := func(o outcome) float64 { return o.database.statements - o.seconds*c.IdleStatements }
	wal := func(o outcome) float64 { return o.database.wal }
	count := func(o outcome) float64 { return o.parts }
	files := func(o outcome) float64 { return o.files }

	parts := of(1, count) - of(0, count)
	perPart := func(value func(outcome) float64) float64 { return max(of(1, value)-of(0, value), 0) / parts }
	c.NodePart, c.DatabasePart = perPart(node), perPart(database)
	c.PartStatements, c.PartWAL = perPart(statements), perPart(wal)
	// Other work on the machine only ever adds to this.
	rests := make([]float64, len(runs[1]))
	for i, run := range runs[1] {
		rests[i] = max(run.seconds-run.node-run.database.cpu, 0)
	}
	c.PartSeconds = slices.Min(rests) / parts
	more := of(2, files) - of(0, files)
	perFile := func(value func(outcome) float64) float64 { return max(of(2, value)-of(0, value), 0) / more }
	c.NodeFile, c.DatabaseFile, c.FileStatements = perFile(node), perFile(database), perFile(statements)

	resources, few := float64(l.resources), of(0, count)
	c.NodeResource = (of(0, node) - few*c.NodePart) / resources
	c.DatabaseResource = (of(0, database)-few*c.DatabasePart)/resources - c.PlanResource
	c.EntryBytes = of(1, func(o outcome) float64 { return o.entry })
}

// measureMemory compares one worker with four.
func (l *lab) measureMemory(ctx context.Context, c *model.Costs, one float64) error {
	const workers = 4
	run, err := l.exportOnce(ctx, config{nodes: 1, workers: workers, maxFileResources: 10_000})
	c.NodeMemory, c.WorkerMemory = one, max(run.peak-one, 0)/(workers-1)
	return err
}

// measureRiver has so many parts wait that sweeps and the dispatcher have something to
// do, and a source that is so slow that they are all there is.
func measureRiver(ctx context.Context, l *lab, o options, c *model.Costs) error {
	if err := l.measureDispatch(ctx, o, c); err != nil {
		return err
	}
	f, err := l.start(ctx, config{nodes: 1, workers: 1, maxFileResources: 20, pace: 1, lease: 3 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = f.stop(ctx) }()
	location, err := f.kickOff(ctx)
	if err != nil {
		return err
	}
	var waiting float64
	for waiting < float64(l.resources)/20/2 {
		if err := l.wait(ctx, time.Second); err != nil {
			return err
		}
		const count = "SELECT count(*) FROM bulkexport_river.bulkexport_task WHERE kind = 'part'" + probe
		if err := l.db.QueryRowContext(ctx, count).Scan(&waiting); err != nil {
			return err
		}
	}
	if err := l.resetStatements(ctx); err != nil {
		return err
	}
	before, err := l.read(ctx)
	if err != nil {
		return err
	}
	if err := l.wait(ctx, time.Duration(o.rounds)*idle); err != nil {
		return err
	}
	after, err := l.read(ctx)
	if err != nil {
		return err
	}
	enqueue, err := l.statement(ctx, "%bulkexport_task%WITH ORDINALITY%")
	if err != nil {
		return err
	}
	c.EnqueueTask = enqueue.mean / waiting
	c.EnqueueWAL = after.since(before).wal / enqueue.calls / waiting
	return f.delete(ctx, location)
}

// measureDispatch adds up what is done under the lock in exports of small parts.
func (l *lab) measureDispatch(ctx context.Context, o options, c *model.Costs) error {
	var sums []float64
	for range o.rounds {
		if err := l.resetStatements(ctx); err != nil {
			return err
		}
		if _, err := l.exportOnce(ctx, config{nodes: 1, workers: 1, maxFileResources: smallPart}); err != nil {
			return err
		}
		sum := 0.0
		for _, pattern := range []string{"WITH RECURSIVE%", `copy %"river_job"%`, "%UPDATE%river_job%"} {
			s, err := l.statement(ctx, pattern)
			if err != nil {
				return err
			}
			sum += s.mean
		}
		sums = append(sums, sum)
	}
	c.DispatchSeconds = slices.Min(sums)
	return nil
}

// garbage returns how many bytes this process has allocated so far.
func garbage() float64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.TotalAlloc)
}

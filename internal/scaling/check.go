package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport/internal/scaling/model"
)

// trial is a real run and its simulation.
type trial struct {
	name string
	config
	killAfter time.Duration // of the second node; 0 is never
}

// pace is what the example server can keep to: its pauses are not shorter than
// the timers of the machine.
const pace = 400

// trials are small, since other work on the machine disturbs long ones as well. Those
// with a slow source export one type.
func trials(l *lab) []trial {
	slow := config{
		nodes: 1, workers: 1, maxFileResources: 125, pace: pace, lease: 3 * time.Second, only: l.share(8).name,
	}
	fast := config{nodes: 1, workers: 1, maxFileResources: 5000, lease: 3 * time.Second}
	on := func(nodes int, c config) config {
		c.nodes = nodes
		return c
	}
	two := func(c config) config {
		c.workers = 2
		return c
	}
	parts := func(size int64, c config) config {
		c.maxFileResources = size
		return c
	}
	return []trial{
		{"slow source: 1 worker", slow, 0},
		{"slow source: 2 workers on 1 node", two(slow), 0},
		{"slow source: 4 workers on 2 nodes", on(2, two(slow)), 0},
		{"slow source: 8 workers on 4 nodes", on(4, two(slow)), 0},
		{"slow source: 4 workers on 2 nodes with parts of 50", on(2, two(parts(50, slow))), 0},
		{"slow source: 2 nodes of which one is killed after 5 s", on(2, slow), 5 * time.Second},
		{"full speed: 1 worker", fast, 0},
		{"full speed: 2 workers", two(fast), 0},
		{"full speed: 2 nodes of 2 workers", on(2, two(fast)), 0},
		{"full speed: 1 worker with parts of 200", parts(200, fast), 0},
		{"full speed: 2 workers with parts of 200", two(parts(200, fast)), 0},
	}
}

// check compares real runs with simulated ones.
func check(ctx context.Context, l *lab, o options, c model.Costs, output io.Writer) error {
	all := slices.DeleteFunc(trials(l), func(t trial) bool { return !o.wants(t.name) })
	if len(all) == 0 {
		return fmt.Errorf("there is no run of the name %q", o.only)
	}
	runs := make([][]outcome, len(all))
	for range o.rounds {
		for i, t := range all {
			fmt.Fprintln(os.Stderr, t.name)
			run, err := l.try(ctx, t)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			fmt.Fprintf(os.Stderr, "  %+v\n", run)
			runs[i] = append(runs[i], run)
		}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "%d processors for nodes and database, the least disturbed of %d runs\n\n",
		runtime.NumCPU(), o.rounds)
	row(&text, "run", "resources, parts", "measured", "simulated, undisturbed", "disturbed", "simulated so",
		"CPU measured", "simulated")
	rule(&text, 8)
	for i, t := range all {
		text.WriteString(l.compared(t, c, runs[i]))
	}
	_, err := io.WriteString(output, text.String())
	return err
}

// try makes the real run.
func (l *lab) try(ctx context.Context, t trial) (outcome, error) {
	f, err := l.start(ctx, t.config)
	if err != nil {
		return outcome{}, err
	}
	var meanwhile func(string) error
	if t.killAfter > 0 {
		meanwhile = func(string) error {
			err := l.wait(ctx, t.killAfter)
			f.processes[1].Kill()
			return err
		}
	}
	run, err := f.export(ctx, meanwhile)
	if errStop := f.stop(ctx); err == nil {
		err = errStop
	}
	return run, err
}

// compared is a line of the table, about the run that others on the machine have
// disturbed least. What is simulated is stretched as it was, and once more not.
func (l *lab) compared(t trial, c model.Costs, runs []outcome) string {
	is := slices.MinFunc(runs, func(a, b outcome) int { return cmp.Compare(a.stretch, b.stretch) })
	s := l.simulated(t)
	stretched, alone := model.Simulate(s, c.Stretched(is.stretch)), model.Simulate(s, c)
	cpu := alone.NodeSeconds + alone.DatabaseSeconds + float64(s.Resources())*(c.DatabaseResource+c.PlanResource)
	var text strings.Builder
	row(&text, t.name, count(float64(s.Resources()))+", "+strconv.FormatInt(alone.Parts, 10),
		fmt.Sprintf("%.1f s", is.seconds), compareWith(alone.Seconds, is.seconds),
		fmt.Sprintf("× %.1f", is.stretch), compareWith(stretched.Seconds, is.seconds),
		fmt.Sprintf("%.1f s", is.node+is.database.cpu), compareWith(cpu, is.node+is.database.cpu))
	return text.String()
}

// compareWith writes a simulated time, and how far it is from the measured one.
func compareWith(simulated, measured float64) string {
	return fmt.Sprintf("%.1f s, %+.0f %%", simulated, 100*(simulated/measured-1))
}

func (l *lab) simulated(t trial) model.Setup {
	s := model.Setup{
		MaxFileResources: t.maxFileResources, MaxFileBytes: float64(t.maxFileBytes),
		Lease: t.lease.Seconds(), Nodes: t.nodes, Workers: t.workers, WorkerPace: t.pace,
		OneMachine: true, DatabaseCores: runtime.NumCPU(),
	}
	for _, is := range l.types {
		if t.only == "" || t.only == is.name {
			s.Types = append(s.Types, is.count)
		}
	}
	if t.killAfter > 0 {
		s.Deaths = []model.Death{{At: t.killAfter.Seconds(), Node: 1}}
	}
	return s
}

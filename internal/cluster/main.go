//go:build unix

// Command cluster disturbs nodes that share one PostgreSQL and one S3 server while
// they export, and compares every export with that of a single process on a folder:
//
//	go run ./internal/cluster -mode kill -exports 50
//
// The nodes are processes of the example server. Modes are names with commas between:
//
//	kill      a random node, or the leader, is ended with kill -9, again and again
//	postgres  PostgreSQL is restarted, each second time it is down for -outage
//	s3        the S3 server is down for -outage
//	freeze    a node is stopped for -freeze, and then goes on
//	twice     every task is delivered twice; and kills
//	clocks    the clocks of the nodes are ten minutes apart; and kills
//	delete    exports are deleted on one node while others write them
//	scale     1, 2, 4 and 8 workers on a source that is slow for each
//	compare   River and S3 against workers of a process and files
//	latency   kick-off and status while clients poll
//
// What differs, is missing or left over is a violation, and makes the exit code 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	modes           string
	exports, atOnce int
	patients        int
	nodes, workers  int
	lease, cleanUp  time.Duration
	pause           time.Duration
	outage, freeze  time.Duration
	rate            float64
	rounds          int
	pollers         int
	files           bool
	keepLogs        string
	seed            uint64
	output          io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	violations, err := command(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
	}
	if err != nil || violations > 0 {
		os.Exit(1) //nolint:gocritic // the context has ended with the command
	}
}

// command is all but the exit code.
func command(ctx context.Context, args []string, output io.Writer) (violations int, err error) {
	o := options{output: output}
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.modes, "mode", "kill", "what to do: `names` with commas between, or all")
	flags.IntVar(&o.exports, "exports", 10, "how many exports `N` each mode makes")
	flags.IntVar(&o.atOnce, "at-once", 3, "how many exports `N` run at a time")
	flags.IntVar(&o.patients, "patients", 400, "made-up `patients`, each with about 47 resources")
	flags.IntVar(&o.nodes, "nodes", 3, "how many nodes `N`")
	flags.IntVar(&o.workers, "workers", 2, "how many workers `N` a node has")
	flags.DurationVar(&o.lease, "lease", 3*time.Second, "lease `time` of the nodes")
	flags.DurationVar(&o.cleanUp, "clean-up", 10*time.Second, "clean-up interval `time` of the nodes")
	flags.DurationVar(&o.pause, "pause", 3*time.Second, "mean `time` between two faults")
	flags.DurationVar(&o.outage, "outage", 20*time.Second, "how much `time` a server is down")
	flags.DurationVar(&o.freeze, "freeze", 35*time.Second, "how much `time` a node is stopped: beyond its slice of 30s")
	flags.Float64Var(&o.rate, "rate", 400, "resources per second of a worker, but in compare and latency: `N`")
	flags.IntVar(&o.rounds, "rounds", 3, "how many rounds `N` of compare and scale")
	flags.IntVar(&o.pollers, "pollers", 50, "how many clients `N` poll in latency")
	flags.BoolVar(&o.files, "files", false, "a shared folder in the place of S3")
	flags.StringVar(&o.keepLogs, "logs", "", "write the logs of ended nodes to this `folder`")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64N(1e6), "`number` that decides what happens")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if flags.NArg() > 0 || min(o.exports, o.atOnce, o.patients, o.workers, o.rounds, o.pollers) < 1 || o.nodes < 2 {
		return 0, errors.New("flags: there are flags only, none of them below 1, and at least 2 nodes")
	}
	return run(ctx, o)
}

// mode is something to do with the rig. It says what it found by violate and report.
type mode struct {
	name string
	do   func(context.Context, *rig) error
	// durable has PostgreSQL sync its commits, since time is measured; tolerant lets
	// nodes log errors, since what they need is away, or late.
	durable, tolerant bool
}

func modes() []mode {
	return []mode{
		{name: "kill", do: kills},
		{name: "postgres", do: postgresRestarts, tolerant: true},
		{name: "s3", do: outages, tolerant: true},
		{name: "freeze", do: freezes, tolerant: true},
		{name: "twice", do: twice},
		{name: "clocks", do: clocks},
		{name: "delete", do: deletes},
		{name: "scale", do: scale, durable: true},
		{name: "compare", do: compare, durable: true},
		{name: "latency", do: latency, durable: true},
	}
}

func chosen(names string) ([]mode, error) {
	if names == "all" {
		return modes(), nil
	}
	var found []mode
	for name := range strings.SplitSeq(names, ",") {
		n := len(found)
		for _, m := range modes() {
			if m.name == name {
				found = append(found, m)
			}
		}
		if len(found) == n {
			return nil, fmt.Errorf("flags: there is no mode %q", name)
		}
	}
	return found, nil
}

// run makes each mode on a rig of its own, so that none has what another one left.
func run(ctx context.Context, o options) (violations int, err error) {
	list, err := chosen(o.modes)
	if err != nil {
		return 0, err
	}
	for _, m := range list {
		found, err := runMode(ctx, o, m)
		violations += found
		if err != nil {
			return violations, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return violations, nil
}

func runMode(ctx context.Context, o options, m mode) (violations int, err error) {
	r, err := newRig(ctx, o, m)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	err = m.do(ctx, r)
	r.stopAll(context.WithoutCancel(ctx))
	r.print()
	return int(r.violations.Load()), err
}

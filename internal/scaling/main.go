// Command scaling says how exports scale: it measures what they cost here, checks a
// simulation against real runs, and writes the tables of docs/scaling.md.
//
//	go run ./internal/scaling -measure          # the constants of the model, on this machine
//	go run ./internal/scaling -check            # real runs against simulated ones
//	go run ./internal/scaling -tables           # the tables, from the constants that are committed
//
// Real runs are processes of the example server, on River and a private PostgreSQL
// with pg_stat_statements; they need Linux, for processor times of other processes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/bulkexport/bulkexport/internal/scaling/model"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "scaling:", err)
		os.Exit(1) //nolint:gocritic // the context has ended with the command
	}
}

// options are what the flags say.
type options struct {
	measure, check, tables bool
	only                   []string // nil means all
	resources, rounds      int
	write                  string
}

// wants reports whether an experiment is asked for.
func (o options) wants(name string) bool { return o.only == nil || slices.Contains(o.only, name) }

// command is all but the exit code.
func command(ctx context.Context, args []string, output io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	costs, err := model.Measured()
	if err != nil {
		return err
	}
	switch {
	case o.measure:
		return inLab(ctx, o, func(l *lab) error { return measure(ctx, l, o, costs, output) })
	case o.check:
		return inLab(ctx, o, func(l *lab) error { return check(ctx, l, o, costs, output) })
	}
	_, err = io.WriteString(output, tables(costs))
	return err
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("scaling", flag.ContinueOnError)
	flags.BoolVar(&o.measure, "measure", false, "measure the constants of the model on this machine")
	flags.BoolVar(&o.check, "check", false, "compare real runs with simulated ones")
	flags.BoolVar(&o.tables, "tables", false, "print the tables of docs/scaling.md")
	only := flags.String("only", "", "`names` of experiments of -measure or -check, with commas (default all)")
	flags.IntVar(&o.resources, "resources", 200_000, "how many `N` resources, about, real runs export")
	flags.IntVar(&o.rounds, "rounds", 3, "how many `times` to measure; the median counts")
	flags.StringVar(&o.write, "write", "", "`file` to write the constants to: internal/scaling/model/costs.json")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	asked := 0
	for _, is := range []bool{o.measure, o.check, o.tables} {
		if is {
			asked++
		}
	}
	if asked != 1 || flags.NArg() > 0 || o.resources < 10_000 || o.rounds < 1 {
		return o, errors.New("one of -measure, -check and -tables, at least 10000 resources and 1 round")
	}
	return o, nil
}

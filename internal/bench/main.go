// Command bench measures what exports cost against what reading the rows and
// writing the bytes costs without this library, and prints a table:
//
//	go run ./internal/bench
//	go run ./internal/bench -goals 1,2,9 -resources 50000 -rounds 3
//
// Both sides run in turn, on the same file system, with the data in the cache.
// Each export is a process of its own, so that its peak memory is its own. The
// page docs/performance.md says what is measured against what, and why.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1) //nolint:gocritic // the context has ended with the command
	}
}

// command is all but the exit code.
func command(ctx context.Context, args []string, output io.Writer) error {
	if len(args) == 2 && args[0] == childArgument {
		return child(ctx, args[1], os.Stdin, output)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	results, err := measureAll(ctx, o)
	// What was measured before an error is worth to be seen.
	return errors.Join(err, report(ctx, output, o, results))
}

// options are what the flags say.
type options struct {
	dir       string
	goals     map[int]bool // nil means all
	rounds    int
	resources int
	postgres  bool
	profile   string
	markdown  bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	goals := flags.String("goals", "", "`numbers` of the goals to measure, as in 1,2,9 (default all)")
	flags.IntVar(&o.rounds, "rounds", 5, "how many `times` to measure, after one that fills the caches")
	flags.IntVar(&o.resources, "resources", 1_000_000, "how many `N` resources to export")
	flags.StringVar(&o.dir, "dir", filepath.Join(os.TempDir(), "bulkexport-bench"),
		"`folder` for databases, which are kept for later runs, and for the output of both sides")
	flags.BoolVar(&o.postgres, "postgres", true, "measure on PostgreSQL too, with a private server")
	flags.StringVar(&o.profile, "profile", "", "`folder` for CPU profiles of the exports")
	flags.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 || o.rounds < 1 || o.resources < minResources {
		return o, fmt.Errorf("there are flags only, at least 1 round and %d resources", minResources)
	}
	return o, o.selectGoals(*goals)
}

func (o *options) selectGoals(list string) error {
	if list == "" {
		return nil
	}
	o.goals = map[int]bool{}
	for text := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-goals: %q is not a number", text)
		}
		o.goals[n] = true
	}
	return nil
}

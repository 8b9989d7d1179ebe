//go:build unix

// Command soak runs kick-offs, polls, downloads, deletions, crashes and restarts
// at random for a while, with writers at work, and checks every export against
// the exact history of the data:
//
//	go run ./internal/soak -for 30m -db postgres
//
// The servers are processes of the example server on one store. This command is
// the only one who writes resources, so it knows what the state was at any
// transaction time. Whatever differs from it, or is not excused by a fault that
// was made on purpose, is a violation, and makes the exit code 1. A run that finds
// one can be repeated with its -seed, as far as time allows.
//
// Expected in the logs of the servers are warnings; an ERROR is a violation.
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
	"syscall"
	"time"

	"github.com/bulkexport/bulkexport/internal/pgserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	violations, err := command(ctx, os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
	}
	if err != nil || violations > 0 {
		os.Exit(1) //nolint:gocritic // the context has ended with the command
	}
}

// command is all but the exit code.
func command(ctx context.Context, args []string, output io.Writer) (violations int64, err error) {
	o := options{output: output, writePause: 40 * time.Millisecond, faultPause: 6 * time.Second}
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.DurationVar(&o.duration, "for", 30*time.Minute, "how long there are faults and new jobs")
	db := flags.String("db", "sqlite", "sqlite, or postgres: a private server, unless there is a -dsn")
	flags.StringVar(&o.dsn, "dsn", "", "postgres:// `DSN` of an empty database")
	flags.StringVar(&o.dir, "dir", "", "`folder` for everything, which must not exist (default: one that is removed)")
	flags.IntVar(&o.servers, "servers", 0, "how many `N` processes there are (default 1, with PostgreSQL 2)")
	flags.IntVar(&o.clients, "clients", 8, "how many `N` clients there are")
	flags.Uint64Var(&o.seed, "seed", rand.Uint64N(1e6), "`number` that decides what happens")
	flags.IntVar(&o.size, "resources", 2000, "how many `N` resources each of the three tenants has, about")
	if err := flags.Parse(args); err != nil {
		return 0, err
	}
	if flags.NArg() > 0 || o.clients < 2 || o.size < 50 || (*db != "sqlite" && *db != "postgres") {
		return 0, errors.New("flags: there are flags only, at least 2 clients and 50 resources, -db sqlite or postgres")
	}
	if *db == "postgres" && o.dsn == "" {
		private, err := pgserver.Start(ctx)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, private.Stop()) }()
		o.dsn = private.URL().String()
	}
	if o.servers == 0 {
		o.servers = 1
		if o.dsn != "" {
			o.servers = 2
		}
	}
	if o.dir != "" {
		if err := os.Mkdir(o.dir, 0o700); err != nil {
			return 0, err
		}
		return run(ctx, o)
	}
	if o.dir, err = os.MkdirTemp("", "soak"); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(o.dir)) }()
	return run(ctx, o)
}

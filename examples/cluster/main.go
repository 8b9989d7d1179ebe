// Command cluster shows an export that outlives the server it was asked for:
//
//	go run ./examples/cluster
//
// It starts PostgreSQL, an S3 server and three nodes of examples/server, all of them
// private, on loopback and gone afterwards. Then it is the client: it kicks off an
// export on one node, watches it from another one, kills the first with kill -9 in the
// middle, downloads all files from a third, checks that each resource is there exactly
// once, and deletes the job. It fails if anything is missing, or left over.
//
// The README beside it says how the real servers are installed and set up.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/bulkexport/bulkexport/internal/bulkclient"
	"github.com/bulkexport/bulkexport/internal/fleet"
)

// options are the flags.
type options struct {
	nodes, patients int
	dir             string
	keep            bool
	out             printer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt does not wait for the first
	opts := options{out: printer{os.Stdout}}
	flag.IntVar(&opts.nodes, "nodes", 3, "how many nodes `N`, at least 3")
	flag.IntVar(&opts.patients, "patients", 1000, "make up the records of `N` patients")
	flag.StringVar(&opts.dir, "dir", "", "`folder` for the downloaded NDJSON (default: it is not kept)")
	flag.BoolVar(&opts.keep, "keep", false, "leave the servers running until an interrupt (Ctrl-C)")
	flag.Parse()
	err := run(ctx, opts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// answerTime bounds a request, downloads included.
const answerTime = 5 * time.Minute

func run(ctx context.Context, opts options) (err error) {
	if opts.nodes < 3 || opts.patients < 1 {
		return errors.New("-nodes must be at least 3, and -patients at least 1")
	}
	if opts.dir != "" {
		if err := os.MkdirAll(opts.dir, 0o700); err != nil {
			return err
		}
	}
	work, err := os.MkdirTemp("", "bulkexport-cluster-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	shared, err := fleet.Start(ctx, fleet.Config{Dir: work})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, shared.Stop()) }()
	p := &play{options: opts, fleet: shared, client: bulkclient.New(answerTime)}
	defer p.client.Close()
	defer p.killAll()
	if err := p.start(ctx); err != nil {
		return err
	}
	if err := p.perform(ctx); err != nil {
		return err
	}
	return p.linger(ctx)
}

// printer prints for a person. If nobody reads, that is no error.
type printer struct{ io.Writer }

func (p printer) printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format, args...) }

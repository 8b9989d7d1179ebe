// Command quickstart shows a whole export, from nothing but Go and a C compiler:
//
//	go run ./examples/quickstart
//
// It loads records into SQLite, serves them on loopback, and then is the client:
// it kicks an export off, polls, downloads, checks what it got against what was
// loaded, and deletes the job. Each step is printed as the curl line that does
// the same. It fails if a single byte differs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// defaultOut is the only folder that is emptied without asking.
const defaultOut = "quickstart-export"

// options are the flags, and where to print.
type options struct {
	data     dataset.Source
	dir      string // for the exported NDJSON
	out      printer
	terminal bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	opts := options{out: printer{os.Stdout}, terminal: isTerminal(os.Stdout)}
	flag.StringVar(&opts.data.Dir, "data", "", "load all *.ndjson and *.ndjson.gz of this `folder`")
	flag.IntVar(&opts.data.Patients, "patients", 2000, "make up the records of `N` patients, if there is no -data")
	flag.StringVar(&opts.dir, "out", defaultOut, "empty `folder` for the exported NDJSON")
	flag.Parse()
	err := run(ctx, opts)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// run plays the whole piece in a temporary folder that it removes afterwards.
func run(ctx context.Context, opts options) (err error) {
	if err := makeEmpty(opts.dir); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bulkexport-quickstart-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	h, err := startHost(ctx, dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.stop(ctx)) }()
	return play(ctx, h, opts)
}

// play is the client's side.
func play(ctx context.Context, h *host, opts options) error {
	c := newClient(opts)
	c.out.printf("Serving at %s as long as this program runs; for a server that stays:\n"+
		"  go run ./examples/server -generate 1000\n", h.baseURL)

	job, err := c.kickOff(ctx, h.baseURL+"/fhir/$export")
	if err != nil {
		return fmt.Errorf("kick off: %w", err)
	}
	manifest, err := c.wait(ctx, job)
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	files, err := c.downloadAll(ctx, manifest)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	checkErr := c.check(files, h.loaded)
	if err := c.delete(ctx, job); err != nil {
		return errors.Join(checkErr, fmt.Errorf("delete: %w", err))
	}
	c.printTable(files)
	return checkErr
}

// makeEmpty makes an empty folder, at the cost of its content only if it is the
// default one.
func makeEmpty(dir string) error {
	if dir == defaultOut {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err == nil && len(entries) > 0:
		return fmt.Errorf("%s is not empty", dir)
	}
	return err
}

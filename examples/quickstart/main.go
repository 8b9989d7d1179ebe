// Command quickstart shows a whole export, from nothing but Go and a C compiler:
//
//	go run ./examples/quickstart
//
// It loads records into SQLite, serves them on loopback, and then is the client:
// it kicks an export off, polls, downloads, checks what it got against what was
// loaded, and deletes the job. Each step is printed as the curl line that does
// the same. It fails if a single byte differs.
//
// The same client exports from any other server with Bulk Data Access:
//
//	go run ./examples/quickstart -url https://server/fhir -header 'Authorization: Bearer …'
//	go run ./examples/quickstart -url 'https://server/fhir/Group/7/$export?_type=Patient'
//
// It then checks the files against their manifest. Interrupting it cancels the
// export on the server. What -header gives goes to that server, and elsewhere
// only for files that the manifest says require it; it is never printed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

const (
	// defaultOut is the only folder that is emptied without asking.
	defaultOut = "quickstart-export"
	// defaultRemoteOut is another one, since what it has may have taken hours.
	defaultRemoteOut = "bulk-export"
)

// options are the flags, and what a test puts in the place of the world.
type options struct {
	data     dataset.Source
	url      string   // of another server; empty for one of our own
	headers  []string // "Name: value", for that server
	dir      string   // for the exported NDJSON
	out      printer
	terminal bool
	sleep    func(context.Context, time.Duration) error // nil for the clock's
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second interrupt does not wait for the first
	err := run(ctx, parseFlags())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func parseFlags() options {
	opts := options{out: printer{os.Stdout}, terminal: isTerminal(os.Stdout)}
	flag.StringVar(&opts.data.Dir, "data", "", "load all *.ndjson and *.ndjson.gz of this `folder`")
	flag.IntVar(&opts.data.Patients, "patients", 2000,
		"make up the records of `N` patients, if there is no -data")
	flag.StringVar(&opts.url, "url", "",
		"export from another server: its FHIR base `URL`, or a complete kick-off URL with $export")
	flag.Func("header", "send this `'Name: value'` to the server of -url; may be repeated",
		func(value string) error {
			// Refused later: package flag would print the value, which may be a token.
			opts.headers = append(opts.headers, value)
			return nil
		})
	flag.StringVar(&opts.dir, "out", "", "empty `folder` for the exported NDJSON (default "+defaultOut+
		", which is emptied; with -url "+defaultRemoteOut+", which is not)")
	flag.Parse()
	return opts
}

func run(ctx context.Context, opts options) error {
	if opts.url != "" {
		return runRemote(ctx, opts)
	}
	return runLocal(ctx, opts)
}

// runRemote exports from a server that is there.
func runRemote(ctx context.Context, opts options) error {
	if opts.data.Dir != "" {
		return errors.New("-data is for a server of our own; leave it out, or -url")
	}
	target, err := kickOffURL(opts.url)
	if err != nil {
		return fmt.Errorf("-url: %w", err)
	}
	header, err := parseHeaders(opts.headers)
	if err != nil {
		return fmt.Errorf("-header: %w", err)
	}
	if opts.dir == "" {
		opts.dir = defaultRemoteOut
	}
	if err := makeEmpty(opts.dir); err != nil {
		return err
	}
	c := newClient(opts, target, header)
	c.gzip = true
	c.out.printf("Exporting from %s; an interrupt (Ctrl-C) cancels it there.\n", target.Host)
	return c.redact(c.play(ctx, nil))
}

// runLocal plays the whole piece in a temporary folder that it removes afterwards.
func runLocal(ctx context.Context, opts options) (err error) {
	if len(opts.headers) > 0 {
		return errors.New("-header is for another server; give its -url")
	}
	if opts.dir == "" {
		opts.dir = defaultOut
	}
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

	target, err := kickOffURL(h.baseURL + "/fhir")
	if err != nil {
		return err
	}
	c := newClient(opts, target, nil)
	c.breakFirst = true
	c.out.printf("Serving at %s as long as this program runs; for a server that stays:\n"+
		"  go run ./examples/server -generate 1000\n", h.baseURL)
	return c.play(ctx, h.loaded)
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

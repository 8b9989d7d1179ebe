package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// printer prints for a person. If nobody reads, that is no error.
type printer struct{ io.Writer }

func (p printer) printf(format string, args ...any) { _, _ = fmt.Fprintf(p, format, args...) }

// step begins a step of the play.
func (c *client) step(title string) {
	c.steps++
	c.out.printf("\n%d. %s\n", c.steps, title)
}

// show prints the command line that does the same as a request.
func (c *client) show(r request, flags, comment string) {
	line := r.curl(flags, c.credentials)
	if comment != "" {
		line += "   # " + comment
	}
	c.out.printf("   $ %s\n", printable(line))
}

// say prints what came of it.
func (c *client) say(format string, args ...any) {
	c.out.printf("   %s\n", printable(fmt.Sprintf(format, args...)))
}

// printable keeps what servers say from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

// redactor keeps secrets out of what is printed, whoever repeats them.
type redactor struct {
	io.Writer
	secrets *strings.Replacer
}

// Write implements io.Writer.
func (r redactor) Write(p []byte) (int, error) {
	_, err := r.secrets.WriteString(r.Writer, string(p))
	return len(p), err
}

// minSecret keeps short values, such as a tenant's number, from blotting out
// half of the text. No token is that short.
const minSecret = 4

// secrets finds the values of a header, with and without their scheme.
func secrets(header http.Header) *strings.Replacer {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			_, bare, _ := strings.Cut(value, " ")
			for _, secret := range []string{value, strings.TrimSpace(bare)} {
				if len(secret) >= minSecret {
					pairs = append(pairs, secret, "…")
				}
			}
		}
	}
	return strings.NewReplacer(pairs...)
}

// redact does the same for an error.
func (c *client) redact(err error) error {
	if err == nil {
		return nil
	}
	return redactedError{err, secrets(c.credentials).Replace(err.Error())}
}

type redactedError struct {
	err  error
	text string
}

func (e redactedError) Error() string { return e.text }
func (e redactedError) Unwrap() error { return e.err }

// printTable lists the files.
func (c *client) printTable(files []file) {
	c.out.printf("\nThe files are in %s:\n\n", c.dir)
	columns := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	table := printer{columns}
	table.printf("type\tfile\tlines\tbytes\tSHA-256 (first 16 digits)\n")
	for _, f := range files {
		name := f.resourceType
		if name == "" {
			name = "several"
		}
		table.printf("%s\t%s\t%d\t%d\t%s\n",
			printable(name), filepath.Base(f.path), f.content.lines(), f.size, f.sha256[:16])
	}
	_ = columns.Flush()
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// total adds up the lines and bytes of all types, line feeds included.
func total(types map[string]dataset.Fingerprint) (lines, size int64) {
	for _, f := range types {
		lines += f.Lines
		size += f.Bytes + f.Lines
	}
	return lines, size
}

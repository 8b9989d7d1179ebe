package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// byHand does what an export of few resources has a database and a file system do
// when it comes through HTTP: the same statements in the same transactions, on
// the same tables, and the same files with the same syncs, one after the
// other. It does nothing else: it decides, checks, encodes and serves nothing.
//
// The list is this one, whatever the library does more or less by now: to compare
// with what it could do, bring it up to date.
//
// What the documents of job and parts say does not matter, so they are those of an
// export that was made before.
func byHand(ctx context.Context, t task) (out outcome, err error) {
	x, err := newExporting(ctx, t)
	if err != nil {
		return outcome{}, err
	}
	_, err = x.export(ctx, t.Request)
	if err := errors.Join(err, x.stop(ctx)); err != nil {
		return outcome{}, err
	}
	h, err := newHand(ctx, t, x.files)
	if err != nil {
		return outcome{}, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	for range t.Times {
		watch := newStopwatch()
		if err := h.export(ctx, rand.Text()); err != nil {
			return outcome{}, err
		}
		out.Times = append(out.Times, watch.seconds())
	}
	return out, nil
}

// What is prepared for the job store, by name.
func jobStatements() map[string]string {
	return map[string]string{
		"insert job": `INSERT INTO bulkexport_jobs (id, tenant, state, expires_at, doc) VALUES ($1, '', $2, NULL, $3)
			ON CONFLICT (id) DO NOTHING`,
		"job": "SELECT doc FROM bulkexport_jobs WHERE id = $1",
		"update job": `UPDATE bulkexport_jobs SET state = $1, expires_at = $2, doc = $3, revision = revision + 1
			WHERE id = $4`,
		"planned":     "SELECT EXISTS (SELECT 1 FROM bulkexport_parts WHERE job_id = $1)",
		"insert part": "INSERT INTO bulkexport_parts (job_id, idx, doc) VALUES ($1, $2, $3)",
		"part": `SELECT j.doc, p.doc FROM bulkexport_parts p JOIN bulkexport_jobs j ON j.id = p.job_id
			WHERE p.job_id = $1 AND p.idx = $2`,
		"update part": "UPDATE bulkexport_parts SET doc = $1, revision = revision + 1 WHERE job_id = $2 AND idx = $3",
		"parts": `SELECT p.doc FROM bulkexport_jobs j LEFT JOIN bulkexport_parts p ON p.job_id = j.id
			WHERE j.id = $1 ORDER BY p.idx`,
	}
}

// What is prepared for the source.
func sourceStatements() map[string]string {
	const selected = ` FROM bulkexport_resources WHERE tenant = '' AND type = $1 AND last_updated > $2
		AND last_updated <= $3 AND superseded_at > $3 AND flags < 2`
	return map[string]string{
		"clock": "UPDATE bulkexport_clock SET stamp = (max(stamp, $1) + 999) / 1000 * 1000 RETURNING stamp",
		"types": "SELECT DISTINCT type FROM bulkexport_resources WHERE tenant = ''",
		"count": "SELECT count(*)" + selected,
		"rows":  "SELECT seq, body" + selected + " ORDER BY seq LIMIT 64",
	}
}

// hand has open what a server has open.
type hand struct {
	jobs, source *sql.DB
	statements   map[string]*sql.Stmt
	files        *os.Root
	job          string   // document
	parts        []string // documents
	types        []string
}

func newHand(ctx context.Context, t task, dir string) (*hand, error) {
	h := &hand{statements: map[string]*sql.Stmt{}}
	for pool, path := range map[**sql.DB]string{
		&h.jobs: filepath.Join(t.Folder, "jobs.db"), &h.source: t.Source.Database,
	} {
		// What writes takes the lock at its beginning, as package gormstore does.
		db, err := openSQLite(path, measured+"&_txlock=immediate")
		if err == nil {
			*pool, err = db.DB()
		}
		if err != nil {
			return nil, err
		}
	}
	err := errors.Join(
		h.prepare(ctx, h.jobs, jobStatements()), h.prepare(ctx, h.source, sourceStatements()), h.readDocuments(ctx),
	)
	if err != nil {
		return nil, err
	}
	h.files, err = os.OpenRoot(dir)
	return h, err
}

func (h *hand) prepare(ctx context.Context, db *sql.DB, statements map[string]string) error {
	for name, text := range statements {
		statement, err := db.PrepareContext(ctx, text) //nolint:sqlclosecheck // with the database
		if err != nil {
			return err
		}
		h.statements[name] = statement
	}
	return nil
}

func (h *hand) readDocuments(ctx context.Context) error {
	var id string
	row := h.jobs.QueryRowContext(ctx, "SELECT id, doc FROM bulkexport_jobs")
	if err := row.Scan(&id, &h.job); err != nil {
		return err
	}
	var err error
	if h.parts, err = h.strings(h.statements["parts"].QueryContext(ctx, id)); err != nil {
		return err
	}
	h.types, err = h.strings(h.statements["types"].QueryContext(ctx))
	return err
}

// strings reads the last column of all rows.
func (h *hand) strings(rows *sql.Rows, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var values []string
	for rows.Next() {
		row := make([]any, len(columns))
		var last string
		for i := range row {
			row[i] = new(sql.RawBytes)
		}
		row[len(row)-1] = &last
		if err := rows.Scan(row...); err != nil {
			return nil, err
		}
		values = append(values, last)
	}
	return values, rows.Err()
}

func (h *hand) close() error {
	return errors.Join(h.jobs.Close(), h.source.Close(), h.files.Close())
}

// export does it once.
func (h *hand) export(ctx context.Context, job string) error {
	if err := h.plan(ctx, job); err != nil {
		return err
	}
	for i, name := range h.types {
		if err := h.part(ctx, job, i, name); err != nil {
			return err
		}
	}
	if err := errors.Join(h.read(ctx, "parts", job), h.updateJob(ctx, job)); err != nil { // completed
		return err
	}
	if err := h.look(ctx, job); err != nil { // the status request that finds it so
		return err
	}
	for _, name := range h.types {
		if err := h.download(ctx, job, name); err != nil {
			return err
		}
	}
	return nil
}

// plan takes the request, fixes the time, counts and stores the parts.
func (h *hand) plan(ctx context.Context, job string) error {
	err := h.inTransaction(ctx, h.jobs, func(c *call) {
		c.exec("insert job", job, "accepted", h.job)
	})
	if err := errors.Join(err, h.updateJob(ctx, job), h.readClock(ctx), h.updateJob(ctx, job)); err != nil {
		return err
	}
	read := &call{hand: h, ctx: ctx}
	read.query("types")
	for _, name := range h.types {
		read.query("count", name, int64(math.MinInt64), int64(math.MaxInt64-1)) // to split
		read.query("count", name, int64(math.MinInt64), int64(math.MaxInt64-1)) // for the progress
	}
	if read.err != nil {
		return read.err
	}
	err = h.inTransaction(ctx, h.jobs, func(c *call) {
		c.query("job", job)
		c.query("planned", job)
		for i, part := range h.parts {
			c.exec("insert part", job, i, part)
		}
	})
	return errors.Join(err, h.updateJob(ctx, job))
}

// readClock takes the lock that a Repository takes: from the beginning.
func (h *hand) readClock(ctx context.Context) (err error) {
	conn, err := h.source.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	var stamp int64
	row := conn.QueryRowContext(ctx, sourceStatements()["clock"], time.Now().UnixMicro())
	errScan := row.Scan(&stamp)
	_, err = conn.ExecContext(ctx, "COMMIT")
	return errors.Join(errScan, err)
}

func (h *hand) updateJob(ctx context.Context, job string) error {
	return h.inTransaction(ctx, h.jobs, func(c *call) {
		c.query("job", job)
		c.exec("update job", "running", nil, h.job, job)
	})
}

func (h *hand) updatePart(ctx context.Context, job string, part int) error {
	return h.inTransaction(ctx, h.jobs, func(c *call) {
		c.query("part", job, part)
		c.exec("update part", h.parts[part], job, part)
	})
}

// look reads job and parts, as a status request does.
func (h *hand) look(ctx context.Context, job string) error {
	return errors.Join(h.read(ctx, "job", job), h.read(ctx, "parts", job))
}

func (h *hand) read(ctx context.Context, name string, args ...any) error {
	c := &call{hand: h, ctx: ctx}
	c.query(name, args...)
	return c.err
}

// part claims, writes and commits.
func (h *hand) part(ctx context.Context, job string, part int, resourceType string) error {
	if err := h.updatePart(ctx, job, part); err != nil {
		return err
	}
	bodies, err := h.strings(h.statements["rows"].QueryContext(
		ctx, resourceType, int64(math.MinInt64), int64(math.MaxInt64-1)))
	if err != nil {
		return err
	}
	if err := h.write(job, resourceType, strings.Join(bodies, "\n")+"\n", part == 0); err != nil {
		return err
	}
	return h.updatePart(ctx, job, part)
}

// write makes a file durable under its name, as package filesink does: with the
// first one of a job, the folder is too.
func (h *hand) write(job, name, content string, first bool) error {
	if err := h.files.Mkdir(job, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	folder, err := h.files.OpenRoot(job)
	if err != nil {
		return err
	}
	defer folder.Close()
	file, err := folder.OpenFile("."+name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, content)
	if err := errors.Join(err, file.Sync(), file.Close(), folder.Rename("."+name, name)); err != nil {
		return err
	}
	err = syncFolder(folder)
	if first {
		err = errors.Join(err, syncFolder(h.files))
	}
	return err
}

func syncFolder(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func (h *hand) download(ctx context.Context, job, name string) error {
	if err := h.look(ctx, job); err != nil {
		return err
	}
	file, err := h.files.Open(filepath.Join(job, name))
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, file)
	return errors.Join(err, file.Close())
}

// call runs prepared statements until the first error.
type call struct {
	*hand
	ctx context.Context
	tx  *sql.Tx // nil outside of transactions
	err error
}

func (h *hand) inTransaction(ctx context.Context, db *sql.DB, fn func(*call)) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	c := &call{hand: h, ctx: ctx, tx: tx}
	fn(c)
	if c.err != nil {
		return errors.Join(c.err, tx.Rollback())
	}
	return tx.Commit()
}

func (c *call) statement(name string) *sql.Stmt {
	if c.tx == nil {
		return c.statements[name]
	}
	return c.tx.StmtContext(c.ctx, c.statements[name])
}

func (c *call) exec(name string, args ...any) {
	if c.err != nil {
		return
	}
	//nolint:sqlclosecheck // with the transaction
	if _, err := c.statement(name).ExecContext(c.ctx, args...); err != nil {
		c.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (c *call) query(name string, args ...any) {
	if c.err != nil {
		return
	}
	//nolint:sqlclosecheck // with the transaction
	if _, err := c.strings(c.statement(name).QueryContext(c.ctx, args...)); err != nil {
		c.err = fmt.Errorf("%s: %w", name, err)
	}
}

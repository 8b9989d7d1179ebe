// Package pgtest gives tests an empty PostgreSQL database.
//
// With BULKEXPORT_TEST_POSTGRES set to a postgres:// URL whose user may create
// databases, databases are made on that server. Otherwise a private server is
// started from the installed binaries and stopped when the test ends. Where
// there are none the test is skipped, or fails if the environment says CI=true.
//
// It imports testing and is for tests only.
package pgtest

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bulkexport/bulkexport/internal/pgserver"
)

const (
	envURL  = "BULKEXPORT_TEST_POSTGRES"
	missing = "needs PostgreSQL: install the package postgresql, or set " +
		envURL + "=postgres://..."
)

// Cluster is a PostgreSQL server on which a test creates databases. Its methods
// are safe for concurrent use.
type Cluster struct {
	admin   *url.URL
	private *pgserver.Server // nil if the server is not ours
}

// DSN returns the postgres:// URL of a new, empty database on a server of its
// own. Both are gone when the test has ended. A test that needs several
// databases saves time with [Start].
func DSN(tb testing.TB) string {
	tb.Helper()
	return Start(tb).DSN(tb)
}

// Start returns a server that lasts until the test has ended: the one that
// BULKEXPORT_TEST_POSTGRES names, or a private one, which takes a second or two.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	if raw := os.Getenv(envURL); raw != "" {
		return &Cluster{admin: parse(tb, raw)}
	}
	server, err := pgserver.Start(tb.Context())
	switch {
	case errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true":
		tb.Skip(missing)
	case errors.Is(err, pgserver.ErrNotInstalled):
		tb.Fatal(missing)
	case err != nil:
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := server.Stop(); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	return &Cluster{admin: server.URL(), private: server}
}

// DSN creates an empty database and returns its postgres:// URL. The database
// is dropped when the test has ended, with whoever is still connected to it.
func (c *Cluster) DSN(tb testing.TB) string {
	tb.Helper()
	name := "bulkexport_" + strings.ToLower(rand.Text())
	// template0 is empty even where somebody has added to template1.
	c.exec(tb, "create database "+name+" template template0")
	tb.Cleanup(func() { c.exec(tb, "drop database if exists "+name+" with (force)") })

	u := *c.admin
	u.Path = "/" + name
	return u.String()
}

// exec runs one statement on the maintenance database. It does not use the
// test's context, which has ended when cleanups run.
func (c *Cluster) exec(tb testing.TB, sql string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.admin.String())
	if err != nil {
		tb.Fatalf("pgtest: connect: %v", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		tb.Fatalf("pgtest: %s: %v", sql, err)
	}
}

func parse(tb testing.TB, raw string) *url.URL {
	tb.Helper()
	u, err := parseURL(raw)
	if err != nil {
		tb.Fatalf("pgtest: %s: %v", envURL, err)
	}
	return u
}

// parseURL hides the text of the URL from its errors: it may hold a password.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("is not a postgres:// URL")
	}
	// As parameters these would win over the path, where DSN puts the database.
	if q := u.Query(); q.Has("dbname") || q.Has("database") {
		return nil, errors.New("has the database in its parameters instead of its path")
	}
	return u, nil
}

// Package fleet runs nodes of the example server (examples/server) that share one
// PostgreSQL and one S3 server, all of them private, on loopback, and processes of
// their own: for commands and tests that show what becomes of work when some of
// them die.
package fleet

import (
	"context"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bulkexport/bulkexport/internal/pgserver"
	"github.com/bulkexport/bulkexport/internal/s3server"
	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// Config says what the nodes share.
type Config struct {
	// Dir is an existing folder for the server's binary, and for what PostgreSQL
	// keeps, if that is Durable: then the user "postgres" must be able to enter the
	// folders above, where this process is root's.
	Dir string
	// Durable has PostgreSQL sync what it commits, as it does by default. It is faster
	// without, which tells nothing about speed.
	Durable bool
	// Files has the nodes keep files in a folder instead: there is no S3 server then.
	Files bool
}

// Bucket is where the files go.
const Bucket = "bulkexport"

// Fleet is what the nodes share. Methods of its servers are for one goroutine at a
// time; its own are safe for concurrent use.
type Fleet struct {
	Postgres *pgserver.Server
	S3       *s3server.Server // nil where there is none
	// DB is a pool of connections to look at things.
	DB *pgxpool.Pool

	cfg    Config
	binary string

	starting sync.Mutex // so that it is known whose the node in the database is
}

// Start starts PostgreSQL and the S3 server, and builds the example server. The
// caller stops the nodes first, and then calls Stop.
//
// Errors: [pgserver.ErrNotInstalled], [s3server.ErrNotInstalled].
func Start(ctx context.Context, cfg Config) (*Fleet, error) {
	f := &Fleet{cfg: cfg, binary: filepath.Join(cfg.Dir, "server")}
	if err := errors.Join(f.startShared(ctx), serverproc.Build(ctx, f.binary)); err != nil {
		return nil, errors.Join(err, f.Stop())
	}
	return f, nil
}

func (f *Fleet) startShared(ctx context.Context) (err error) {
	if !f.cfg.Files {
		if f.S3, err = s3server.Start(ctx); err != nil {
			return err
		}
		if err := f.S3.CreateBucket(Bucket); err != nil {
			return err
		}
	}
	if f.cfg.Durable {
		f.Postgres, err = pgserver.Open(ctx, filepath.Join(f.cfg.Dir, "postgres"))
	} else {
		f.Postgres, err = pgserver.Start(ctx)
	}
	if err != nil {
		return err
	}
	f.DB, err = pgxpool.New(ctx, f.DSN())
	return err
}

// Stop ends what is shared, and removes its data.
func (f *Fleet) Stop() error {
	if f.DB != nil {
		f.DB.Close()
	}
	var faults []error
	if f.S3 != nil {
		faults = append(faults, f.S3.Stop())
	}
	if f.Postgres != nil {
		faults = append(faults, f.Postgres.Stop())
	}
	return errors.Join(append(faults, os.RemoveAll(f.binary))...)
}

// DSN returns the postgres:// URL of the database that the nodes share.
func (f *Fleet) DSN() string { return f.Postgres.URL().String() }

// Args are the flags with which a server is a node of this fleet.
func (f *Fleet) Args() []string {
	args := []string{"-db", f.DSN(), "-runner", "river"}
	if f.S3 == nil {
		return append(args, "-dir", f.cfg.Dir)
	}
	query := url.Values{"endpoint": {f.S3.Endpoint()}, "region": {s3server.Region}, "use_path_style": {"true"}}
	return append(args, "-sink", "s3://"+Bucket+"?"+query.Encode())
}

// Command returns the example server, not started, with these flags only.
func (f *Fleet) Command(ctx context.Context, args ...string) *exec.Cmd {
	// The process outlives ctx: it is for the caller to end it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), f.binary, args...)
	cmd.SysProcAttr = ownGroup()
	if f.S3 != nil {
		access, secret := f.S3.Credentials()
		cmd.Env = append(os.Environ(),
			"AWS_ACCESS_KEY_ID="+access, "AWS_SECRET_ACCESS_KEY="+secret, "AWS_REGION="+s3server.Region)
	}
	return cmd
}

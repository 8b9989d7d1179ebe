package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

// options are the flags of the server.
type options struct {
	addr, baseURL string
	dir, dsn      string
	runner, sink  string
	signedURLs    time.Duration
	urlKey        string
	keyFolder     string
	tlsCert       string
	tlsKey        string
	audit         bool
	smartClients  string
	tokenKey      string
	issuer        string
	issuerKeys    string
	tokenEndpoint string
	ceilings      bulkexport.Ceilings
	clockAhead    time.Duration
	data          dataset.Source
	workers       int
	maxResources  int64
	maxBytes      int64
	gzip          int
	maxStored     int64
	ttl, lease    time.Duration
	maxDuration   time.Duration
	cleanUp       time.Duration
	stallTimeout  time.Duration
	strict        bool
	deleteStatus  int
	tokens        tokens
	rate          float64
	ratePerWorker float64
	deliverTwice  bool

	maxClientExports, maxTenantExports, pollLimit int
}

func parseOptions(args []string, output io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.SetOutput(output)
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flags.StringVar(&o.baseURL, "base-url", "", "`URL` that clients reach the server at (default http://<address>)")
	flags.StringVar(&o.dir, "dir", "bulkexport-data", "`folder` for the state: SQLite database and output files")
	flags.StringVar(&o.dsn, "db", "", "postgres:// `DSN` of a database to use instead of SQLite")
	flags.StringVar(&o.runner, "runner", "pool", "what performs the work: pool in this process, or river, "+
		"which shares it between all `servers` on one PostgreSQL")
	flags.StringVar(&o.data.Dir, "data", "", "load all *.ndjson and *.ndjson.gz of this `folder` at start")
	flags.IntVar(&o.data.Patients, "generate", 0, "make up the records of `N` patients at start instead")
	flags.IntVar(&o.workers, "workers", 0, "how many `N` workers export at a time (default one per processor)")
	flags.StringVar(&o.sink, "sink", "", "where files are kept: `URL` file:///folder, or s3://bucket?region=…&endpoint=…"+
		"&use_path_style=true with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (default: a folder in -dir)")
	flags.DurationVar(&o.signedURLs, "signed-urls", 0,
		"let clients fetch files by URLs that work for so much `time` without a token, from the bucket if there is one")
	flags.StringVar(&o.keyFolder, "encrypt", "", "encrypt files, with a key for each export in this `folder`, "+
		"which is not where the files are")
	flags.StringVar(&o.urlKey, "url-key", "", "`file` with a secret of at least 32 bytes that URLs of this server are "+
		"signed with, the same for all servers (default: one that is made up at start)")
	flags.StringVar(&o.smartClients, "smart-clients", "", "give access tokens to the clients registered in this "+
		"`file`, by SMART Backend Services")
	flags.StringVar(&o.tokenKey, "token-key", "", "`file` with the private key that such tokens are signed with, "+
		"the same for all servers (default: one that is made up at start)")
	flags.StringVar(&o.issuer, "issuer", "", "let clients in with access tokens (JWT) of this issuer: its `URL`")
	flags.StringVar(&o.issuerKeys, "issuer-keys", "", "`URL` of its keys (default <issuer>/.well-known/jwks.json)")
	flags.StringVar(&o.tokenEndpoint, "token-endpoint", "", "`URL` where its clients get tokens, for discovery")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "`file` with a certificate, to serve over TLS")
	flags.StringVar(&o.tlsKey, "tls-key", "", "`file` with its key")
	flags.BoolVar(&o.audit, "audit", false, "log who was given what")
	flags.IntVar(&o.ceilings.Job, "max-job-parts", 0, "parts of an export at a time: `N` (default: no limit)")
	flags.IntVar(&o.ceilings.Tenant, "max-tenant-parts", 0, "parts of a tenant at a time: `N` (default: no limit)")
	flags.IntVar(&o.ceilings.Total, "max-parts", 0, "parts of all exports at a time: `N` (default: no limit)")
	flags.Int64Var(&o.maxResources, "max-file-resources", 0, "lines in a file at most: `N` (default 500,000)")
	flags.Int64Var(&o.maxBytes, "max-file-bytes", 0, "`bytes` in a file at most (default 256 MiB)")
	flags.IntVar(&o.gzip, "gzip", 0, "store files as gzip of this `level`, 1 to 9 (default 0: as they are)")
	flags.DurationVar(&o.ttl, "ttl", 24*time.Hour, "how long finished exports are kept")
	flags.DurationVar(&o.lease, "lease", 15*time.Second, "after what `time` work of a process that died is taken over")
	flags.DurationVar(&o.maxDuration, "max-duration", 0, "after what `time` an export fails (default 168h)")
	flags.Int64Var(&o.maxStored, "max-stored-bytes", 0,
		"refuse kick-offs while stored files have so many `bytes` (default: no limit)")
	flags.DurationVar(&o.cleanUp, "clean-up", 0, "how often to look for orphaned files: each `time` (default 10m)")
	flags.DurationVar(&o.stallTimeout, "stall-timeout", 0,
		"after what `time` without a resource work is begun again (default 10m)")
	flags.BoolVar(&o.strict, "strict", false, "keep to the letter of Bulk Data Access, as its test suites do")
	flags.IntVar(&o.deleteStatus, "delete-status", 0,
		"`status` of a successful DELETE: 204 or 202 (default 204, with -strict 202)")
	flags.IntVar(&o.maxClientExports, "max-client-exports", 0, "unfinished exports of a client: `N` (default: no limit)")
	flags.IntVar(&o.maxTenantExports, "max-tenant-exports", 0, "unfinished exports of a tenant: `N` (default: no limit)")
	flags.IntVar(&o.pollLimit, "poll-limit", 0,
		"let a client poll `N` times in a row without heeding Retry-After (default 60, -1: no limit)")
	flags.Var(&o.tokens, "token", "let `TOKEN=CLIENT@TENANT` in, may be repeated (default: open to everybody)")
	flags.Float64Var(&o.rate, "rate", 0, "export `N` resources per second at most (default: no limit)")
	flags.Float64Var(&o.ratePerWorker, "rate-per-worker", 0,
		"let each worker export `N` resources per second at most (default: no limit)")
	flags.BoolVar(&o.deliverTwice, "deliver-twice", false, "with -runner river, perform each task two times")
	flags.DurationVar(&o.clockAhead, "clock-ahead", 0, "pretend that this machine's clock is ahead by so much `time`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	return o, o.check(flags.NArg())
}

func (o options) check(operands int) error {
	var faults []error
	check := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, errors.New(fault))
		}
	}
	check(operands == 0, "there are flags only")
	check(o.data.Dir == "" || o.data.Patients == 0, "-data and -generate exclude each other")
	check(o.data.Patients >= 0, "-generate must not be negative")
	check(o.rate >= 0, "-rate must not be negative")
	check(o.ratePerWorker >= 0, "-rate-per-worker must not be negative")
	check(o.rate == 0 || o.ratePerWorker == 0, "-rate and -rate-per-worker exclude each other")
	check(!o.deliverTwice || o.runner == "river", "-deliver-twice needs -runner river")
	check(o.runner == "pool" || o.runner == "river", "-runner must be pool or river")
	check(o.runner != "river" || o.dsn != "", "-runner river needs -db postgres://…")
	check(o.sink == "" || strings.HasPrefix(o.sink, "file:///") || strings.HasPrefix(o.sink, "s3://"),
		"-sink must be file:///… or s3://…")
	check(o.signedURLs == 0 || strings.HasPrefix(o.sink, "s3://") || o.secured(),
		"-signed-urls needs -sink s3://…, or tokens: where access is open, URLs are too")
	check(o.keyFolder == "" || o.signedURLs == 0 || !strings.HasPrefix(o.sink, "s3://") || o.secured(),
		"-encrypt leaves no URLs of the bucket for -signed-urls: those of this server need tokens")
	check((o.tlsCert == "") == (o.tlsKey == ""), "-tls-cert and -tls-key need each other")
	check(o.tokenKey == "" || o.smartClients != "", "-token-key needs -smart-clients")
	check(o.issuer != "" || o.issuerKeys == "" && o.tokenEndpoint == "", "-issuer-keys and -token-endpoint need -issuer")
	check(o.tokens.wellFormed(), "-token must be TOKEN=CLIENT@TENANT")
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("flags: %w", err)
	}
	return nil
}

// secured reports whether clients need tokens.
func (o options) secured() bool { return len(o.tokens) > 0 || o.smartClients != "" || o.issuer != "" }

// leadsToTokens reports whether the server tells clients where tokens are.
func (o options) leadsToTokens() bool { return o.smartClients != "" || o.tokenEndpoint != "" }

// loads reports whether there are records to load.
func (o options) loads() bool { return o.data != dataset.Source{} }

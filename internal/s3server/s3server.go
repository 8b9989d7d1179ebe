// Package s3server starts a private S3 server (versitygw) from the binary that is
// installed, for tests and commands.
package s3server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport/internal/loopback"
)

// ErrNotInstalled means that there is no versitygw. Its text says how to get it.
var ErrNotInstalled = errors.New(
	"versitygw is not installed: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")

// Region is the one that all servers are in.
const Region = "us-east-1"

const (
	startTimeout = time.Minute // which only a machine in trouble needs
	program      = "versitygw"
)

// Server is a private S3 server. Its methods are for one goroutine at a time; what
// it serves is for any number.
type Server struct {
	binary, dir string
	port        int
	accessKey   string
	secretKey   string
	health      string // path that no other server has
	process     *process
}

// Start starts a server without buckets on a free port of loopback, with
// credentials that nobody else knows. It takes part of a second; ctx bounds only
// that. The server lasts until [Server.Stop], on Linux not longer than this process
// in any case.
//
// Errors: [ErrNotInstalled].
func Start(ctx context.Context) (*Server, error) {
	binary, err := find(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "s3server")
	if err != nil {
		return nil, err
	}
	s := &Server{
		binary: binary, dir: dir,
		accessKey: rand.Text(), secretKey: rand.Text(), health: "/" + rand.Text(),
	}
	if err := s.startNew(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// find looks in PATH, and where go install puts programs.
func find(ctx context.Context) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOBIN", "GOPATH").Output()
	if err != nil {
		return "", ErrNotInstalled
	}
	gobin, gopath, _ := strings.Cut(strings.TrimRight(string(out), "\n"), "\n")
	folders := []string{gobin}
	for _, path := range filepath.SplitList(gopath) {
		folders = append(folders, filepath.Join(path, "bin"))
	}
	for _, folder := range folders {
		if path, err := exec.LookPath(filepath.Join(folder, program)); err == nil && folder != "" {
			return path, nil
		}
	}
	return "", ErrNotInstalled
}

func (s *Server) startNew(ctx context.Context) (err error) {
	if err := errors.Join(os.Mkdir(s.buckets(), 0o700), os.Mkdir(s.headers(), 0o700)); err != nil {
		return err
	}
	// Another process may take the free port before the server does.
	for range 3 {
		if s.port, err = loopback.FreePort(ctx); err != nil {
			return err
		}
		if err = s.Resume(ctx); err == nil {
			return nil
		}
	}
	return err
}

func (s *Server) buckets() string { return filepath.Join(s.dir, "buckets") }
func (s *Server) headers() string { return filepath.Join(s.dir, "headers") }

// Endpoint returns the URL of the server, without a slash at the end. Buckets are
// part of the path. It stays the same when the server is halted and resumed.
func (s *Server) Endpoint() string {
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))
}

// Credentials returns the keys of the user who may do everything.
func (s *Server) Credentials() (accessKey, secretKey string) { return s.accessKey, s.secretKey }

// CreateBucket makes an empty bucket. The name has 3 to 63 lower-case letters,
// digits and '-'; one that exists is an error.
func (s *Server) CreateBucket(name string) error {
	return os.Mkdir(filepath.Join(s.buckets(), name), 0o700)
}

// Halt kills the server as a crash does, in the middle of whatever it does. What
// it has stored stays. A server that is halted already is fine.
func (s *Server) Halt() { s.process.kill() }

// Resume starts a server again that was halted, on the same port and with the
// same data, and returns when it answers. The server outlives ctx.
func (s *Server) Resume(ctx context.Context) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), s.binary,
		"--port", net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), "--region", Region,
		"--health", s.health, "--keep-alive", "--quiet", "posix")
	// Beside the files, headers are not replaced together with the content, and calls
	// for one object at a time may fail that should not.
	if !keepsAttributes(s.buckets()) {
		cmd.Args = append(cmd.Args, "--sidecar", s.headers())
	}
	cmd.Args = append(cmd.Args, s.buckets())
	cmd.Dir = s.dir
	// The environment is not handed on: VGW_PORT and the like would count.
	cmd.Env = []string{"ROOT_ACCESS_KEY_ID=" + s.accessKey, "ROOT_SECRET_ACCESS_KEY=" + s.secretKey}
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	if err := s.awaitReady(ctx); err != nil {
		s.Halt()
		out, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// Stop kills the server and removes its data.
func (s *Server) Stop() error {
	s.Halt()
	return os.RemoveAll(s.dir)
}

func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.process.exited:
			return fmt.Errorf("%s ended while starting", program)
		case <-ctx.Done():
			return fmt.Errorf("%s did not come up: %w", program, err)
		}
	}
}

// probe succeeds when the server on our port is the one that we started: another
// one does not know the path.
func (s *Server) probe(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+s.health, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("port %d belongs to another server", s.port)
	}
	return nil
}

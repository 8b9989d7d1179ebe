// Package pgserver starts a private PostgreSQL server from the binaries that are
// installed, for tests (package pgtest) and commands.
package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bulkexport/bulkexport/internal/loopback"
)

// Bounds that only a machine in trouble reaches. A server that does not stop in
// time is killed.
const (
	startTimeout = time.Minute
	stopTimeout  = 20 * time.Second
)

// ErrNotInstalled means that there are no binaries of PostgreSQL.
var ErrNotInstalled = errors.New("PostgreSQL is not installed")

// binaries finds the directory of the server's programs: in PATH, or else where
// Debian's packages put them outside of it, newest version first.
func binaries() (dir string, ok bool) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) })
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = slices.Insert(dirs, 0, filepath.Dir(path))
	}
	for _, dir := range dirs {
		_, errServer := exec.LookPath(filepath.Join(dir, "postgres"))
		_, errInit := exec.LookPath(filepath.Join(dir, "initdb"))
		if errServer == nil && errInit == nil {
			return dir, true
		}
	}
	return "", false
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// Server is a private PostgreSQL server.
type Server struct {
	bin, dir string
	settings []string // name=value
	attr     *syscall.SysProcAttr
	port     int
	cancel   context.CancelFunc
	exited   chan struct{}
}

// Start starts a server with an empty cluster on loopback, which nobody else
// knows of. It takes a second or two; ctx bounds only that. The server lasts until
// [Server.Stop], on Linux not longer than this process in any case.
//
// Errors: [ErrNotInstalled].
func Start(ctx context.Context) (*Server, error) {
	bin, ok := binaries()
	if !ok {
		return nil, ErrNotInstalled
	}
	attr, err := processAttr()
	if err != nil {
		return nil, err
	}
	dir, err := dataDir(attr)
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, attr: attr, settings: throwaway()}
	if err := s.startNew(ctx); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// throwaway are settings of a server whose data nobody wants back.
func throwaway() []string {
	return []string{"fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_prepared_transactions=8"}
}

// Open is like [Start] for a server whose data is in a folder that is kept: it
// makes the cluster if there is none, and goes on with it if there is. The settings
// are of the form name=value; all others are PostgreSQL's own defaults. The
// user whom the server runs as must be able to enter the folder above. End the server
// with [Server.Halt], or with [Server.Stop] to remove the folder.
//
// Errors: [ErrNotInstalled].
func Open(ctx context.Context, dir string, settings ...string) (*Server, error) {
	bin, ok := binaries()
	if !ok {
		return nil, ErrNotInstalled
	}
	attr, err := processAttr()
	if err != nil {
		return nil, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), handOver(dir, attr)); err != nil {
		return nil, err
	}
	s := &Server{bin: bin, dir: dir, attr: attr, settings: settings}
	if _, err := os.Stat(filepath.Join(s.data(), "PG_VERSION")); errors.Is(err, os.ErrNotExist) {
		return s, s.startNew(ctx)
	}
	return s, s.startOn(ctx)
}

func (s *Server) startNew(ctx context.Context) error {
	if err := s.initialize(ctx); err != nil {
		return err
	}
	return s.startOn(ctx)
}

// startOn starts the server on the cluster that is there.
func (s *Server) startOn(ctx context.Context) (err error) {
	// Another process may take the free port before the server does.
	for range 3 {
		if err = s.start(ctx); err == nil {
			return nil
		}
	}
	return err
}

// dataDir is not in the folder of a test, which no other user can enter.
func dataDir(attr *syscall.SysProcAttr) (string, error) {
	dir, err := os.MkdirTemp("", "pgserver")
	if err != nil {
		return "", err
	}
	if err := handOver(dir, attr); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// handOver gives the folder to the user whom the server runs as.
func handOver(dir string, attr *syscall.SysProcAttr) error {
	if attr.Credential == nil {
		return nil
	}
	return os.Chown(dir, int(attr.Credential.Uid), int(attr.Credential.Gid))
}

// Stop stops the server, with whoever is still connected to it, and removes its
// data.
func (s *Server) Stop() error {
	s.stop()
	return os.RemoveAll(s.dir)
}

// URL returns the postgres:// URL of the maintenance database. The caller owns it.
func (s *Server) URL() *url.URL {
	return &url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command does not hand on the environment: PGPORT and the like would count.
func (s *Server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C"}
	cmd.SysProcAttr = s.attr
	return cmd
}

func (s *Server) initialize(ctx context.Context) error {
	out, err := s.command(ctx, "initdb", "-D", s.data(), "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// start runs the server on a free port.
func (s *Server) start(ctx context.Context) error {
	port, err := loopback.FreePort(ctx)
	if err != nil {
		return err
	}
	s.port = port
	return s.Resume(ctx)
}

// Halt stops the server for a while, with whoever is connected to it, as for
// maintenance: what was committed is kept.
func (s *Server) Halt() { s.stop() }

// Resume starts a server again that was halted, on the same port and with the
// same data, and returns when it takes connections. The server outlives ctx.
func (s *Server) Resume(ctx context.Context) error {
	ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()

	args := []string{
		"-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(s.port), "-c", "unix_socket_directories=",
	}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	cmd := s.command(ctx, "postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	// A fast shutdown, which does not wait for clients.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTimeout
	if err := s.run(cmd); err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	if err := s.awaitReady(ctx); err != nil {
		s.stop()
		out, _ := os.ReadFile(log.Name())
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (s *Server) stop() {
	s.cancel()
	<-s.exited
}

// run starts cmd and waits for it on one locked thread, since Linux ties the
// death signal to the life of the thread that forked, not of the process.
func (s *Server) run(cmd *exec.Cmd) error {
	started := make(chan error)
	s.exited = make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(s.exited)
		}
	}()
	return <-started
}

func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := s.probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return errors.New("postgres ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("postgres did not come up in %v: %w", startTimeout, err)
		}
	}
}

// probe succeeds when the server on our port is the one that we started.
func (s *Server) probe(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.URL().String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var dir string
	if err := conn.QueryRow(ctx, "show data_directory").Scan(&dir); err != nil {
		return err
	}
	if dir != s.data() {
		return fmt.Errorf("port %d belongs to another server", s.port)
	}
	return nil
}

// Installed reports whether there are binaries to start a server from.
func Installed() bool {
	_, ok := binaries()
	return ok
}

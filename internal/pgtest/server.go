package pgtest

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
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bounds that only a machine in trouble reaches. A server that does not stop in
// time is killed.
const (
	startTimeout = time.Minute
	stopTimeout  = 20 * time.Second
)

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

// startPrivate starts a server on loopback that nobody else knows of and
// returns the URL of its maintenance database.
func startPrivate(tb testing.TB, bin string) *url.URL {
	tb.Helper()
	attr, err := processAttr()
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	s := &server{bin: bin, dir: dataDir(tb, attr), attr: attr}
	if err := s.initialize(tb.Context()); err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	// Another process may take the free port before the server does.
	for range 3 {
		if err = s.start(); err == nil {
			tb.Cleanup(s.stop)
			return s.url()
		}
	}
	tb.Fatalf("pgtest: %v", err)
	return nil
}

func dataDir(tb testing.TB, attr *syscall.SysProcAttr) string {
	tb.Helper()
	dir, err := os.MkdirTemp("", "pgtest") //nolint:usetesting // no other user can enter t.TempDir
	if err != nil {
		tb.Fatalf("pgtest: %v", err)
	}
	tb.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			tb.Errorf("pgtest: %v", err)
		}
	})
	if c := attr.Credential; c != nil {
		if err := os.Chown(dir, int(c.Uid), int(c.Gid)); err != nil {
			tb.Fatalf("pgtest: %v", err)
		}
	}
	return dir
}

type server struct {
	bin, dir string
	attr     *syscall.SysProcAttr
	port     int
	cancel   context.CancelFunc
	exited   chan struct{}
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) url() *url.URL {
	return &url.URL{
		Scheme:   "postgres",
		User:     url.User("postgres"),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)),
		Path:     "/postgres",
		RawQuery: "sslmode=disable",
	}
}

// command does not hand on the environment: PGPORT and the like would count.
func (s *server) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(s.bin, name), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C"}
	cmd.SysProcAttr = s.attr
	return cmd
}

func (s *server) initialize(ctx context.Context) error {
	out, err := s.command(ctx, "initdb", "-D", s.data(), "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return nil
}

// start runs the server and returns when it takes connections. The test's
// context has ended when cleanups run, so the server has one of its own.
func (s *server) start() error {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	s.port = port
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()

	cmd := s.command(ctx, "postgres", "-D", s.data(), "-h", "127.0.0.1", "-p", strconv.Itoa(port),
		"-c", "unix_socket_directories=", "-F",
		"-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_prepared_transactions=8")
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

func (s *server) stop() {
	s.cancel()
	<-s.exited
}

// run starts cmd and waits for it on one locked thread, since Linux ties the
// death signal to the life of the thread that forked, not of the process.
func (s *server) run(cmd *exec.Cmd) error {
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

func (s *server) awaitReady(ctx context.Context) error {
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
func (s *server) probe(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url().String())
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

func freePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

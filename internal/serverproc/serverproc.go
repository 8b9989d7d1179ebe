// Package serverproc runs the example server (examples/server) as a process of
// its own, for tests and commands that kill, freeze and restart it.
package serverproc

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
)

// Build compiles the example server to a file. It needs the go command, and to
// run within the module.
func Build(ctx context.Context, file string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}",
		"github.com/bulkexport/bulkexport").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	// The server is a module of its own.
	dir := filepath.Join(strings.TrimSpace(string(root)), "examples", "server")
	out, err := exec.CommandContext(ctx, "go", "build", "-C", dir, "-o", file, ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the example server: %w\n%s", err, out)
	}
	return nil
}

// Process is a running server. Its methods are safe for concurrent use.
type Process struct {
	// BaseURL is where it listens, without a slash at the end.
	BaseURL string

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // what it ended with; to be read once ended is closed
	log   buffer
}

var listening = regexp.MustCompile(`msg=listening .*'(https?://[^/]+)/`)

// Start starts a command that is the example server, and waits until it listens
// or ctx ends. Without -addr among its arguments it takes a free port of
// loopback. What it prints is kept, see [Process.Log].
func Start(ctx context.Context, cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, ended: make(chan struct{})}
	cmd.Args = append([]string{cmd.Args[0], "-addr", "127.0.0.1:0"}, cmd.Args[1:]...)
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start server: %w", err)
	}
	go func() {
		p.err = cmd.Wait()
		_ = writer.Close()
		close(p.ended)
	}()
	found := make(chan string, 1)
	go p.read(reader, found)
	select {
	case p.BaseURL = <-found:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("server ended: %w\n%s", p.err, p.Log())
	case <-ctx.Done():
		p.Kill()
		return nil, fmt.Errorf("server does not listen: %w\n%s", ctx.Err(), p.Log())
	}
}

// read keeps what the process prints until it ends.
func (p *Process) read(output io.Reader, found chan<- string) {
	lines := bufio.NewReader(output)
	for {
		line, err := lines.ReadBytes('\n')
		p.log.add(line)
		if url := listening.FindSubmatch(line); url != nil {
			select {
			case found <- string(url[1]):
			default: // it was found before
			}
		}
		if err != nil {
			return
		}
	}
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process as a crash does, and waits until it has ended. One that
// is frozen or has ended already is fine.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// Terminate asks the process to end, waits for it, and returns how it did: nil
// if it drained as it should. When ctx ends first the process is killed.
func (p *Process) Terminate(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("server does not end: %w", ctx.Err())
	}
}

func (p *Process) signal(s os.Signal) error {
	err := p.cmd.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Ended is closed once the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Log returns what the process has printed so far.
func (p *Process) Log() string { return p.log.String() }

type buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *buffer) add(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

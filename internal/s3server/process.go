package s3server

import (
	"os/exec"
	"runtime"
)

// process is a server that runs, or has run.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// start starts cmd and waits for it on one locked thread, since Linux ties the
// death signal to the life of the thread that forked, not of the process.
func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = dieWithParent()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.exited)
		}
	}()
	return p, <-started
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill() // one that has exited is fine
	<-p.exited
}

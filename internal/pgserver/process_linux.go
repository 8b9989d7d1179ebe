package pgserver

import "syscall"

// dieWithParent has the kernel ask for an immediate shutdown when this
// process is gone, however it ended.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
}

package pgtest

import "syscall"

// dieWithParent has the kernel ask for an immediate shutdown when the test's
// process is gone, however it ended.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
}

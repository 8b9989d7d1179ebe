package pgserver

import "syscall"

// dieWithParent has the kernel ask for an immediate shutdown when this
// process is gone, however it ended. An interrupt at the keyboard is for this
// process alone, which may still need the server to end in order.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT, Setpgid: true}
}

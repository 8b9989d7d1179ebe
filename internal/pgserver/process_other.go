//go:build !linux

package pgserver

import "syscall"

// dieWithParent has no equivalent here: a process that is killed leaves its
// server running.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

//go:build !linux

package pgtest

import "syscall"

// dieWithParent has no equivalent here: a test process that is killed leaves
// its server running.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

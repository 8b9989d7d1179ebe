//go:build !linux

package s3server

import "syscall"

// dieWithParent has no equivalent here: a process that is killed leaves its
// server running.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// keepsAttributes is not known here.
func keepsAttributes(string) bool { return false }

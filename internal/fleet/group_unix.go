//go:build unix

package fleet

import "syscall"

// ownGroup keeps an interrupt at the keyboard from the process: it is for this one
// alone, which ends the others.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

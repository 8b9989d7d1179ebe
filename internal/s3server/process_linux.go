package s3server

import "syscall"

// dieWithParent has the kernel kill the server when this process is gone, however
// it ended. An interrupt at the keyboard is for this process alone, which may still
// need the server to end in order.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// keepsAttributes reports whether files there can have extended attributes.
func keepsAttributes(dir string) bool {
	return syscall.Setxattr(dir, "user.s3server", []byte("x"), 0) == nil
}

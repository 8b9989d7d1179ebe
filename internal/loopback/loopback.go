// Package loopback finds room for private servers on this machine.
package loopback

import (
	"context"
	"net"
)

// FreePort returns a TCP port of 127.0.0.1 that is free now. Another process may take
// it before its user does: who starts a server there makes sure that it is the one
// that answers.
func FreePort(ctx context.Context) (int, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port, nil
}

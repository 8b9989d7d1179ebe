package httpadapter

import (
	"context"
	"net/http"
	"net/netip"
)

// remoteHost returns the address that a request came from, without its port.
func remoteHost(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown" // not from a network
	}
	return from.Addr().Unmap().WithZone("").String()
}

// remoteKey is the key of where a request came from, in its context.
type remoteKey struct{}

// withRemote is for a context from which others are told of the request.
func withRemote(ctx context.Context, remote string) context.Context {
	return context.WithValue(ctx, remoteKey{}, remote)
}

// Remote returns where the request came from ([Config].RemoteAddr) that the functions of
// a [bulkexport.Observer] are called for: kick-offs, and deletions by a client. It is
// empty for all that happens without a request.
func Remote(ctx context.Context) string {
	remote, _ := ctx.Value(remoteKey{}).(string)
	return remote
}

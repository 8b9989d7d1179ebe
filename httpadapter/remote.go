package httpadapter

import (
	"net/http"
	"net/netip"
)

// remoteHost returns the address that a request came from, without its port. Of IPv6
// it is the first half, since a host can have all of the other.
func remoteHost(r *http.Request) string {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return "unknown" // not from a network
	}
	addr := from.Addr().Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	network, _ := addr.Prefix(64) // of an IPv6 address this cannot fail
	return network.String()
}

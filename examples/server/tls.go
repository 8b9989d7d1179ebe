package main

import (
	"crypto/tls"
	"fmt"
	"net"
)

// scheme is how clients reach the server, unless -base-url says otherwise.
func (o options) scheme() string {
	if o.tlsCert != "" {
		return "https"
	}
	return "http"
}

// secure puts TLS, 1.2 or later, on a listener, where there is a certificate.
func secure(listener net.Listener, opts options) (net.Listener, error) {
	if opts.tlsCert == "" {
		return listener, nil
	}
	certificate, err := tls.LoadX509KeyPair(opts.tlsCert, opts.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("-tls-cert, -tls-key: %w", err)
	}
	return tls.NewListener(listener, &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12,
	}), nil
}

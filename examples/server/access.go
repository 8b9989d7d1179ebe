package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/smart/authserver"
)

// authorizeFunc says who makes a request, and what it may export.
type authorizeFunc = func(*http.Request) (bulkexport.Access, error)

// fhirPath is where the FHIR base is below the base URL.
const fhirPath = "/fhir"

// access says who may export: whoever has one of the tokens of the command line, a token
// of the server itself, or one of another issuer. It adds to the mux what clients need to
// get one.
func (o options) access(
	exporter *bulkexport.Exporter, mux *http.ServeMux, log *slog.Logger,
) (authorizeFunc, error) {
	var issuers []smart.Issuer
	if o.smartClients != "" {
		server, err := o.authorizationServer(exporter.Limiter(), log)
		if err != nil {
			return nil, fmt.Errorf("-smart-clients: %w", err)
		}
		for _, pattern := range server.Patterns() {
			mux.Handle(pattern, server)
		}
		issuers = append(issuers, server.Issuer())
	}
	if o.issuer != "" {
		issuer, err := o.otherIssuer(mux)
		if err != nil {
			return nil, fmt.Errorf("-issuer: %w", err)
		}
		issuers = append(issuers, issuer)
	}
	if len(issuers) == 0 {
		return o.tokens.authorize, nil
	}
	if len(issuers) > 1 {
		issuers[0].Name, issuers[1].Name = "here", "issuer"
	}
	authorizer, err := smart.New(smart.Config{Issuers: issuers})
	if err != nil {
		return nil, err
	}
	return eitherOf(o.tokens.authorize, authorizer.Authorize), nil
}

// eitherOf asks the second only about requests whose credentials the first does not know.
func eitherOf(first, second authorizeFunc) authorizeFunc {
	return func(r *http.Request) (bulkexport.Access, error) {
		access, err := first(r)
		if errors.Is(err, httpadapter.ErrUnauthenticated) {
			return second(r)
		}
		return access, err
	}
}

// authorizationServer gives tokens to the clients of a file. Assertions count once, for
// all servers on one database.
func (o options) authorizationServer(limiter bulkexport.Limiter, log *slog.Logger) (*authserver.Server, error) {
	file, err := os.Open(o.smartClients)
	if err != nil {
		return nil, err
	}
	clients, err := authserver.ReadClients(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	cfg := authserver.Config{
		BaseURL: o.baseURL, FHIRPath: fhirPath, Clients: clients, Limiter: limiter, Logger: log,
	}
	if o.tokenKey != "" {
		if cfg.Keys, err = readSigningKey(o.tokenKey); err != nil {
			return nil, fmt.Errorf("-token-key: %w", err)
		}
	}
	if o.audit {
		cfg.Issued = func(ctx context.Context, t authserver.Issued) {
			log.InfoContext(ctx, "audit", "event", "token", "tenant", t.Tenant, "client", t.Client,
				"remote", t.Address, "scope", t.Scope)
		}
		cfg.Refused = func(ctx context.Context, r authserver.Refused) {
			log.WarnContext(ctx, "audit", "event", "refused", "operation", "token", "client", r.Client,
				"remote", r.Address, "status", r.Status, "reason", r.Reason)
		}
	}
	return authserver.New(cfg)
}

// readSigningKey reads a private key as PKCS #8, for example of
// "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256".
func readSigningKey(name string) ([]authserver.Key, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is no private key as PKCS #8")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("it is no key to sign with")
	}
	return []authserver.Key{{ID: "1", Signer: signer}}, nil
}

// otherIssuer is an authorization server elsewhere, whose tokens are taken if they are
// for the FHIR base of this server.
func (o options) otherIssuer(mux *http.ServeMux) (smart.Issuer, error) {
	keysURL := o.issuerKeys
	if keysURL == "" {
		keysURL = o.issuer + "/.well-known/jwks.json"
	}
	keys, err := smart.NewRemoteKeySet(keysURL, smart.RemoteConfig{AllowHTTP: isLoopback(keysURL)})
	if err != nil {
		return smart.Issuer{}, err
	}
	if o.tokenEndpoint != "" && o.smartClients == "" {
		configuration := smart.Configuration{Issuer: o.issuer, JWKSURI: keysURL, TokenEndpoint: o.tokenEndpoint}
		handler, err := configuration.Handler()
		if err != nil {
			return smart.Issuer{}, err
		}
		base, err := url.Parse(o.baseURL)
		if err != nil {
			return smart.Issuer{}, err
		}
		for _, path := range []string{base.Path, base.Path + fhirPath} {
			mux.Handle(path+smart.ConfigurationPath, handler)
		}
	}
	return smart.Issuer{URL: o.issuer, Audience: o.baseURL + fhirPath, Keys: keys}, nil
}

// isLoopback reports whether a URL leads to this machine, so that it need not be https.
func isLoopback(text string) bool {
	target, err := url.Parse(text)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(target.Hostname())
	return err == nil && addr.IsLoopback()
}

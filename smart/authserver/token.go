package authserver

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/bulkexport/bulkexport/smart"
)

// maxToken is how long a token may be: what package smart takes, and most servers in
// one header.
const maxToken = 8 << 10

// tokenAnswer is what a client gets (RFC 6749, section 5.1).
type tokenAnswer struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
}

// token answers the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	address := s.cfg.RemoteAddr(r)
	request, refused := readRequest(w, r)
	claimed := ""
	if refused == nil {
		var answer tokenAnswer
		answer, claimed, refused = s.exchange(r.Context(), request, address)
		if refused == nil {
			writeAnswer(w, http.StatusOK, answer)
			return
		}
	}
	if refused.cause != nil {
		s.cfg.Logger.WarnContext(r.Context(), "no token because of trouble", "error", refused.cause)
	}
	s.report(r.Context(), refused, address, cmp.Or(claimed, request.clientID))
	refused.write(w)
}

// report tells the host who got no token.
func (s *Server) report(ctx context.Context, refused *refusal, address, client string) {
	if s.cfg.Refused == nil {
		return
	}
	if len(client) > maxName {
		client = ""
	}
	s.cfg.Refused(ctx, Refused{
		Client: client, Address: address, Status: refused.status, Error: refused.code, Reason: refused.why(),
	})
}

// exchange trades an assertion for a token. It returns who the client claims to be,
// also where it is refused.
func (s *Server) exchange(
	ctx context.Context, request tokenRequest, address string,
) (tokenAnswer, string, *refusal) {
	assertion, fault := readAssertion(request.assertion)
	claimed := assertion.client()
	if wait := s.failures.wait(address, claimed); wait > 0 {
		return tokenAnswer{}, claimed, tooMany(wait)
	}
	if fault == "" {
		fault = assertion.fault(s.tokenURL, request.clientID, s.cfg.Now())
	}
	var client Client
	var refused *refusal
	if fault != "" {
		refused = notAuthenticated(fault)
	} else {
		client, refused = s.authenticate(ctx, assertion)
	}
	if refused != nil {
		return tokenAnswer{}, claimed, s.failed(ctx, refused, address, claimed)
	}
	answer, refused := s.issue(ctx, client, request.scope, address)
	return answer, claimed, refused
}

// failed counts a failure, and turns its answer into another one when there were too
// many.
func (s *Server) failed(ctx context.Context, refused *refusal, address, client string) *refusal {
	if !refused.failed {
		return refused
	}
	wait, err := s.failures.count(ctx, address, client)
	if err != nil {
		s.cfg.Logger.WarnContext(ctx, "a failed authentication is not counted", "error", err)
	}
	if wait > 0 {
		return tooMany(wait)
	}
	return refused
}

// authenticate finds the client whose assertion is without fault: the one that it is
// registered for, by its signature, and once.
func (s *Server) authenticate(ctx context.Context, a assertion) (Client, *refusal) {
	client, known := s.clients[a.client()]
	key, reason, err := s.keyOf(ctx, client, known, a)
	if err != nil {
		return Client{}, unavailable(fmt.Errorf("keys of client %q: %w", client.ID, err))
	}
	if reason != "" {
		key = s.decoys.key(a.algorithm())
	}
	verified := jwt.GetSigningMethod(a.algorithm()).Verify(a.signed, a.signature, key) == nil
	switch {
	case reason != "":
		return Client{}, unknown(reason)
	case !verified:
		return Client{}, unknown("The signature is not that of the key.")
	}
	return client.Client, s.use(ctx, client.ID, a.id())
}

// keyOf returns the key that must have signed an assertion, or the reason why there
// is none. An error means that nobody knows.
func (s *Server) keyOf(
	ctx context.Context, client registration, known bool, a assertion,
) (key crypto.PublicKey, reason string, err error) {
	if !known {
		return nil, "The client is not registered.", nil
	}
	if url, ok := a.keySetURL(); ok && (url == "" || url != client.JWKSURL) {
		return nil, "The header jku is not the URL that is registered.", nil
	}
	key, err = client.keys.Key(ctx, a.keyID(), a.algorithm())
	if errors.Is(err, smart.ErrNoKey) {
		return nil, "The client has not exactly one key for kid and alg.", nil
	}
	return key, "", err
}

// issue makes a token with what may be granted.
func (s *Server) issue(ctx context.Context, client Client, scope, address string) (tokenAnswer, *refusal) {
	granted := smart.Grant(scope, client.Scope)
	if granted == "" {
		return tokenAnswer{}, badRequest(invalidScope, "scope has nothing that this client may have.")
	}
	now := s.cfg.Now().Truncate(time.Second)
	expires, id := now.Add(s.cfg.Lifetime), rand.Text()
	token, err := s.signer.sign(jwt.MapClaims{
		"iss": s.cfg.BaseURL, "sub": client.ID, "client_id": client.ID, "aud": s.cfg.Audience,
		"iat": now.Unix(), "exp": expires.Unix(), "jti": id, "scope": granted, tenantClaim: client.Tenant,
	})
	if err != nil {
		return tokenAnswer{}, unavailable(fmt.Errorf("sign token: %w", err))
	}
	if len(token) > maxToken {
		return tokenAnswer{}, badRequest(invalidScope, "scope is more than a token has room for: ask for less.")
	}
	if s.cfg.Issued != nil {
		s.cfg.Issued(ctx, Issued{
			Client: client.ID, Tenant: client.Tenant, Address: address, Scope: granted, ID: id, Expires: expires,
		})
	}
	return tokenAnswer{token, "bearer", int64(s.cfg.Lifetime / time.Second), granted}, nil
}

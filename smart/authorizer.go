package smart

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

// leeway is how far clocks may be apart: tokens count that much earlier and longer.
const leeway = 10 * time.Second

// Config is what [New] makes an [Authorizer] of. Issuers or Opaque are required.
type Config struct {
	// Issuers are those whose JWT access tokens count. They need a Name each if
	// there are several, or Opaque as well.
	Issuers []Issuer
	// Opaque verifies all other tokens, for example by [Introspection.Verifier]. It
	// is called from several goroutines at once. Its errors are answered as those of
	// [httpadapter.Config.Authorize] are, and must not hold the token. Without it
	// other tokens are refused.
	Opaque func(ctx context.Context, token string) (Token, error)
	// CacheTime is how long a token counts without being verified anew: that much
	// later a revoked token, or a key that was withdrawn, is noticed. It never
	// counts for longer than it says itself. By default 60 s; negative means that
	// each request has its token verified.
	CacheTime time.Duration
	// CacheSize is how many tokens are remembered, at most. By default 10,000.
	CacheSize int
}

// Token is what a verified access token says.
type Token struct {
	// Caller is who the token was issued to. Its client must not be empty.
	Caller bulkexport.Caller
	// Scope has the scopes, joined by spaces, as [ParseScopes] reads them.
	Scope string
	// Expires is when the token ends; zero if that is not known.
	Expires time.Time
}

// Authorizer tells who makes a request, and what it may export, by its bearer
// token. Make one with [New]. It is safe for concurrent use.
type Authorizer struct {
	issuers map[string]*verifier // by iss
	opaque  func(context.Context, string) (Token, error)
	cache   *tokenCache
}

// New returns an authorizer, or an error that names the fields that are wrong.
func New(cfg Config) (*Authorizer, error) {
	var faults []error
	if len(cfg.Issuers) == 0 && cfg.Opaque == nil {
		faults = append(faults, errors.New("smart: Config.Issuers or Config.Opaque is required"))
	}
	a := &Authorizer{
		issuers: map[string]*verifier{},
		opaque:  cfg.Opaque,
		cache:   newTokenCache(cfg.CacheSize, orDefault(cfg.CacheTime, time.Minute)),
	}
	several := len(cfg.Issuers) > 1 || len(cfg.Issuers) == 1 && cfg.Opaque != nil
	names := map[string]bool{}
	for i, issuer := range cfg.Issuers {
		v, err := newVerifier(issuer)
		switch {
		case err != nil:
		case a.issuers[issuer.URL] != nil:
			err = fault("URL", "is that of another issuer")
		case several && issuer.Name == "":
			err = fault("Name", "is required where clients come from several places")
		case names[issuer.Name]:
			err = fault("Name", "is that of another issuer")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("smart: Config.Issuers[%d].%w", i, err))
			continue
		}
		a.issuers[issuer.URL], names[issuer.Name] = v, true
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return a, nil
}

// Authorize is meant for [httpadapter.Config.Authorize]. A request without one
// valid token is an error that wraps [httpadapter.ErrUnauthenticated]. A token
// that allows no export yields access to no type, so that the kick-off can say
// why it is refused. Any other error means that nobody could tell, for example
// because the issuer's keys cannot be fetched. Errors hold nothing of the token.
func (a *Authorizer) Authorize(r *http.Request) (bulkexport.Access, error) {
	text, err := bearerToken(r.Header)
	if err != nil {
		return bulkexport.Access{}, err
	}
	sum := sumOf(text)
	now := time.Now()
	if access, ok := a.cache.get(sum, now); ok {
		return access, nil
	}
	token, err := a.verify(r.Context(), text)
	if err != nil {
		return bulkexport.Access{}, err
	}
	switch {
	case token.Caller.Client == "":
		return bulkexport.Access{}, refused("the token names no client")
	case !token.Expires.IsZero() && !now.Before(token.Expires.Add(leeway)):
		return bulkexport.Access{}, refused("the token has expired")
	}
	access := bulkexport.Access{Caller: token.Caller, Types: ParseScopes(token.Scope).Types()}
	a.cache.put(sum, access, token.Expires, now)
	return withOwnTypes(access), nil
}

// verify lets the issuer that the token names decide, if it is a known one.
func (a *Authorizer) verify(ctx context.Context, text string) (Token, error) {
	if !isToken68(text) {
		return Token{}, refused("the token has characters that no token has")
	}
	switch issuer := a.issuers[claimedIssuer(text)]; {
	case issuer != nil:
		return issuer.verify(ctx, text)
	case a.opaque != nil:
		return a.opaque(ctx, text)
	}
	return Token{}, refused("the token is of no known issuer")
}

// withOwnTypes keeps what is remembered from whoever gets it.
func withOwnTypes(access bulkexport.Access) bulkexport.Access {
	access.Types = slices.Clone(access.Types)
	return access
}

// clientName tells clients of several issuers apart.
func clientName(name, client string) string {
	if name == "" || client == "" {
		return client
	}
	return name + "/" + client
}

func checkName(name string) error {
	if strings.Contains(name, "/") {
		return fault("Name", "must not have a slash") // else names and clients could run together
	}
	return nil
}

// fault says which field of a configuration breaks which rule.
func fault(field, rule string) error { return fmt.Errorf("%s %s", field, rule) }

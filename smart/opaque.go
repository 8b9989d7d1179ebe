package smart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Introspection says how to ask an authorization server about tokens that only it
// can read (RFC 7662).
type Introspection struct {
	// URL is the introspection endpoint: https, unless AllowHTTP. Required.
	URL string
	// ClientID and ClientSecret are this server's own, at that endpoint. They are
	// sent by HTTP Basic authentication. Both are required.
	ClientID, ClientSecret string
	// Audience, if not empty, has to be in aud of the answer.
	Audience string
	// Name, if not empty, is put before the names of clients: see [Issuer.Name].
	Name string
	// Tenant returns the tenant that an answer is for: see [Issuer.Tenant].
	Tenant func(claims map[string]any) (string, error)
	// AllowHTTP admits an http URL: for tests and servers on the same machine.
	AllowHTTP bool
	// Client makes the requests. Its redirect policy, cookies and time-out are not
	// used. By default a private one, which knows no proxy.
	Client *http.Client
	// Timeout ends a request. By default 5 s.
	Timeout time.Duration
}

const maxIntrospectionBytes = 64 << 10

// Verifier returns a function for [Config.Opaque]. A token that the server does
// not call active is an error that wraps [httpadapter.ErrUnauthenticated]; any
// other error means that there is no answer that could be understood. The fault
// that Verifier itself returns names a field.
func (i Introspection) Verifier() (func(context.Context, string) (Token, error), error) {
	switch err := checkURL(i.URL, i.AllowHTTP); {
	case err != nil:
		return nil, fmt.Errorf("smart: Introspection.URL: %w", err)
	case i.ClientID == "" || i.ClientSecret == "":
		return nil, errors.New("smart: Introspection.ClientID and ClientSecret are required")
	}
	if err := checkName(i.Name); err != nil {
		return nil, fmt.Errorf("smart: Introspection.%w", err)
	}
	i.Timeout = orDefault(i.Timeout, 5*time.Second)
	i.Client = guarded(i.Client, 0)
	return i.verify, nil
}

func (i Introspection) verify(ctx context.Context, text string) (Token, error) {
	claims, err := i.introspect(ctx, text)
	if err != nil {
		return Token{}, fmt.Errorf("introspect token: %w", err)
	}
	switch active, ok := claims["active"].(bool); {
	case !ok:
		return Token{}, errors.New("introspect token: the answer does not say whether it is active")
	case !active:
		return Token{}, refused("the token is not active")
	}
	if err := i.check(claims); err != nil {
		return Token{}, err
	}
	token, err := readClaims(claims, i.Name)
	if err != nil || i.Tenant == nil {
		return token, err
	}
	token.Caller.Tenant, err = i.Tenant(claims)
	return token, err
}

func (i Introspection) introspect(ctx context.Context, text string) (jwt.MapClaims, error) {
	ctx, cancel := context.WithTimeout(ctx, i.Timeout)
	defer cancel()
	form := url.Values{"token": {text}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.ClientSecret)) // RFC 6749, section 2.3.1
	body, _, err := ask(i.Client, req, maxIntrospectionBytes)
	if err != nil {
		return nil, err
	}
	claims := jwt.MapClaims{}
	if err := json.Unmarshal(body, &claims); err != nil {
		return nil, errors.New("the answer is not a JSON object") // the cause would repeat some of it
	}
	return claims, nil
}

// check looks at what the server may have left to this one.
func (i Introspection) check(claims jwt.MapClaims) error {
	if i.Audience != "" {
		audience, err := claims.GetAudience()
		if err != nil || !slices.Contains(audience, i.Audience) {
			return refused("the token is for another audience")
		}
	}
	if err := jwt.NewValidator(jwt.WithLeeway(leeway)).Validate(claims); err != nil {
		return refused(reason(err))
	}
	if typ, ok := claims["token_type"].(string); ok && !strings.EqualFold(typ, "Bearer") {
		return refused("the token is not a bearer token")
	}
	return nil
}

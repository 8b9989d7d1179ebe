package authserver

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxBody  = 64 << 10
	maxScope = 8 << 10
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// tokenRequest is what a client asks for.
type tokenRequest struct {
	clientID  string // empty if it does not say
	assertion string
	scope     string
}

// readRequest reads the form of a request for a token, and refuses what RFC 6749 and
// RFC 7521 do not allow in it.
func readRequest(w http.ResponseWriter, r *http.Request) (tokenRequest, *refusal) {
	form, refused := readForm(w, r)
	if refused != nil {
		return tokenRequest{}, refused
	}
	switch form.Get("grant_type") {
	case "client_credentials":
	case "":
		return tokenRequest{}, badRequest(invalidRequest, "grant_type is missing.")
	default:
		return tokenRequest{}, badRequest(unsupportedType, "grant_type must be client_credentials.")
	}
	if refused := checkMethod(form, r.Header.Values("Authorization")); refused != nil {
		return tokenRequest{}, refused
	}
	request := tokenRequest{form.Get("client_id"), form.Get("client_assertion"), form.Get("scope")}
	switch {
	case len(request.clientID) > maxName:
		return request, badRequest(invalidRequest, "client_id is too long.")
	case len(request.assertion) > maxAssertion:
		return request, badRequest(invalidRequest, "client_assertion is too long.")
	case strings.TrimSpace(request.scope) == "":
		return request, badRequest(invalidScope, "scope is missing.")
	case len(request.scope) > maxScope:
		return request, badRequest(invalidScope, "scope is too long.")
	case !isScope(request.scope):
		return request, badRequest(invalidScope, "scope has characters that no scope has.")
	}
	return request, nil
}

// checkMethod wants private_key_jwt, and nothing beside it.
func checkMethod(form url.Values, authorization []string) *refusal {
	assertion, kind := form.Get("client_assertion"), form.Get("client_assertion_type")
	switch other := len(authorization) > 0 || form.Get("client_secret") != ""; {
	case other && assertion != "":
		return badRequest(invalidRequest, "There is more than one way of authentication: "+
			"client_assertion must stand alone, without client_secret and Authorization.")
	case len(authorization) > 0:
		refused := unauthorized("Authorization is not supported here: authenticate with client_assertion.")
		refused.challenge = schemeOf(authorization[0])
		return refused
	case other:
		return unauthorized("client_secret is not supported here: authenticate with client_assertion.")
	case assertion == "" && kind == "":
		return unauthorized("client_assertion and client_assertion_type are missing.")
	case kind == "":
		return badRequest(invalidRequest, "client_assertion_type is missing.")
	case kind != assertionType:
		return badRequest(invalidRequest, "client_assertion_type must be "+assertionType+".")
	case assertion == "":
		return badRequest(invalidRequest, "client_assertion is missing.")
	}
	return nil
}

// schemeOf returns the scheme of a challenge that fits the one that a client used.
func schemeOf(authorization string) string {
	if scheme, _, _ := strings.Cut(authorization, " "); strings.EqualFold(scheme, "Bearer") {
		return "Bearer"
	}
	return "Basic"
}

// readForm reads a body in which each parameter stands once at most.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.URL.RawQuery != "":
		return nil, badRequest(invalidRequest, "Parameters must be in the body, not in the URL.")
	case err != nil || mediaType != "application/x-www-form-urlencoded":
		return nil, badRequest(invalidRequest, "The body must be application/x-www-form-urlencoded.")
	case r.Header.Get("Content-Encoding") != "":
		return nil, badRequest(invalidRequest, "The body must not have a Content-Encoding.")
	}
	body, refused := readBody(w, r)
	if refused != nil {
		return nil, refused
	}
	form, err := url.ParseQuery(body)
	if err != nil {
		return nil, badRequest(invalidRequest, "The body is malformed.")
	}
	for name, values := range form {
		switch {
		case len(values) > 1:
			return nil, badRequest(invalidRequest, "A parameter is in the body more than once.")
		case !utf8.ValidString(name) || !utf8.ValidString(values[0]):
			return nil, badRequest(invalidRequest, "The body is not text in UTF-8.")
		}
	}
	return form, nil
}

func readBody(w http.ResponseWriter, r *http.Request) (string, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return "", badRequest(invalidRequest, "The body is longer than this server takes.")
	case err != nil:
		return "", badRequest(invalidRequest, "The body did not arrive as a whole.")
	}
	// A deadline that outlived the body would end the request itself.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return string(body), nil
}

// isScope reports whether a text has only characters of scopes (RFC 6749, section
// 3.3).
func isScope(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

package smart

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/bulkexport/bulkexport/httpadapter"
)

// maxTokenBytes bounds the work for a token that nobody knows yet.
const maxTokenBytes = 8 << 10

// bearerToken returns the token of a request (RFC 6750, section 2.1), of bounded length. Tokens in a
// body or a query string, which that document has as well and advises against, do
// not count: logs and histories of others keep them.
func bearerToken(header http.Header) (string, error) {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return "", refused(fmt.Sprintf("there are %d Authorization headers", len(values)))
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer"):
		return "", refused("the Authorization header has no bearer token")
	case len(token) > maxTokenBytes:
		return "", refused(fmt.Sprintf("the token has more than %d bytes", maxTokenBytes))
	}
	return token, nil
}

// isToken68 is b64token of RFC 6750.
func isToken68(token string) bool {
	core := strings.TrimRight(token, "=")
	for i := range len(core) {
		if !isTokenByte(core[i]) {
			return false
		}
	}
	return core != ""
}

func isTokenByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return c == '-' || c == '.' || c == '_' || c == '~' || c == '+' || c == '/'
}

// refused is the error of a request that does not say who makes it. The reason
// must not repeat what the request has.
func refused(reason string) error {
	return fmt.Errorf("%s: %w", reason, httpadapter.ErrUnauthenticated)
}

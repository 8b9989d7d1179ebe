package authserver

import (
	"fmt"

	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
)

// tenantClaim is the claim that has the tenant of a client. It is in all tokens.
const tenantClaim = "tenant"

// Issuer returns the server as the issuer of its tokens, for [smart.Config] in the
// same process: the keys are read from memory. Other processes take a
// [smart.RemoteKeySet] of {BaseURL}/auth/jwks and, where there are tenants,
// smart.TenantClaim("tenant") instead.
func (s *Server) Issuer() smart.Issuer {
	return smart.Issuer{
		URL: s.cfg.BaseURL, Audience: s.cfg.Audience, Keys: s.keySet,
		Algorithms: []string{"ES256", "ES384", "RS384"}, Tenant: tenantOf,
	}
}

func tenantOf(claims map[string]any) (string, error) {
	tenant, ok := claims[tenantClaim].(string)
	if !ok {
		return "", fmt.Errorf("the token names no tenant: %w", httpadapter.ErrUnauthenticated)
	}
	return tenant, nil
}

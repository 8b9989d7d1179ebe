// Command token is a client of SMART Backend Services: it gets an access token, for curl.
//
//	go run ./examples/server/token -new app
//
// makes a key pair for a client named app: the private key in app.pem, and an entry in
// clients.json, by which the server knows the client:
//
//	go run ./examples/server -generate 200 -smart-clients clients.json
//
// Then this prints a token, which is good for five minutes:
//
//	go run ./examples/server/token -client app
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "token:", err)
		os.Exit(1) //nolint:gocritic // the signal handler ends with the process
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	name := flags.String("new", "", "make a key pair and a registration for a client of this `name`")
	tenant := flags.String("tenant", "", "with -new: `tenant` of the client (default: the one without a name)")
	client := flags.String("client", "", "`name` of the client to get a token for")
	scope := flags.String("scope", "system/*.rs", "`scopes` to ask for, or with -new to allow")
	base := flags.String("url", "http://127.0.0.1:8080/fhir", "`URL` of the FHIR base")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case *name != "":
		return register(*name, *tenant, *scope)
	case *client != "":
		token, err := fetch(ctx, *base, *client, *scope)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(out, token)
		return err
	}
	return errors.New("one of -new and -client is required")
}

// register makes a key pair, and the file by which a server knows its public half.
func register(name, tenant, scope string) error {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	public, err := publicJWK(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := create(name+".pem", block); err != nil {
		return err
	}
	return addClient(map[string]any{
		"client_id": name, "tenant": tenant, "scope": scope,
		"jwks": map[string]any{"keys": []any{public}},
	})
}

// addClient adds a client to those that are registered already.
func addClient(client map[string]any) error {
	const name = "clients.json"
	var clients []any
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := json.Unmarshal(text, &clients); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	text, err = json.MarshalIndent(append(clients, client), "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o600)
}

// create writes a file that must not be there yet.
func create(name string, content []byte) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// publicJWK returns the public half as a JWK, whose kid is its thumbprint (RFC 7638).
func publicJWK(key *ecdsa.PrivateKey) (map[string]string, error) {
	point, err := key.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	half := (len(point) - 1) / 2 // behind the byte that says that both follow
	x := base64.RawURLEncoding.EncodeToString(point[1 : 1+half])
	y := base64.RawURLEncoding.EncodeToString(point[1+half:])
	thumbprint := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-384","kty":"EC","x":"%s","y":"%s"}`, x, y))
	return map[string]string{
		"kty": "EC", "crv": "P-384", "alg": "ES384", "use": "sig", "x": x, "y": y,
		"kid": base64.RawURLEncoding.EncodeToString(thumbprint[:]),
	}, nil
}

// fetch gets an access token, by SMART Backend Services.
func fetch(ctx context.Context, base, client, scope string) (string, error) {
	key, err := readKey(client + ".pem")
	if err != nil {
		return "", err
	}
	var configuration struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	discovery := strings.TrimRight(base, "/") + "/.well-known/smart-configuration"
	if err := ask(ctx, http.MethodGet, discovery, nil, &configuration); err != nil {
		return "", err
	}
	assertion, err := assert(key, client, configuration.TokenEndpoint)
	if err != nil {
		return "", err
	}
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	err = ask(ctx, http.MethodPost, configuration.TokenEndpoint, url.Values{
		"grant_type":            {"client_credentials"},
		"scope":                 {scope},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {assertion},
	}, &granted)
	return granted.AccessToken, err
}

func readKey(name string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return jwt.ParseECPrivateKeyFromPEM(text)
}

// assert signs who the client is, for this token endpoint and the next four minutes.
func assert(key *ecdsa.PrivateKey, client, endpoint string) (string, error) {
	public, err := publicJWK(key)
	if err != nil {
		return "", err
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES384, jwt.RegisteredClaims{
		Issuer: client, Subject: client, Audience: jwt.ClaimStrings{endpoint},
		ExpiresAt: jwt.NewNumericDate(time.Now().Add(4 * time.Minute)), ID: rand.Text(),
	})
	token.Header["kid"] = public["kid"]
	return token.SignedString(key)
}

// ask sends a request, with a form if there is one, and reads the JSON of the answer.
func ask(ctx context.Context, method, target string, form url.Values, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%s: %s: %s", target, response.Status, body)
	}
	return json.Unmarshal(body, answer)
}

package bulkexport_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/bulkexport/bulkexport"

// listedPackage is what `go list` says about a package.
type listedPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) map[string]listedPackage {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	require.NoError(t, err)
	packages := map[string]listedPackage{}
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			require.NoError(t, err)
		}
		packages[strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")] = p
	}
}

// rule says what packages under a prefix may import besides the standard
// library, the core and what stands below themselves.
type rule struct {
	prefix  string
	allowed []string
}

// rules go from special to general; the first prefix that fits applies.
var rules = []rule{
	{"fhir/search", []string{module + "/fhir", "golang.org/x/text"}},
	{"fhir", nil},
	{"store/storetest", []string{"pgregory.net/rapid", "github.com/anishathalye/porcupine"}},
	{"source/sourcetest", []string{module + "/fhir"}},
	{"sink/sinktest", nil},
	{"runner/runnertest", nil},
	{"faulttest", nil},
	{"store/gormstore", []string{"gorm.io/gorm", "github.com/cenkalti/backoff/v5"}},
	{"source/gormsource", []string{
		"gorm.io/gorm", "github.com/jackc/pgx/v5", "github.com/cenkalti/backoff/v5", module + "/fhir",
	}},
	{"source/", []string{module + "/fhir"}},
	{"store/", nil},
	{"sink/", []string{module + "/internal/durable"}},
	{"httpadapter", []string{module + "/fhir", "github.com/klauspost/compress"}},
	{"audit", []string{module + "/httpadapter"}},
	{"internal/", []string{"*"}},
	{"conformance", []string{"*"}},
	{"reliability", nil},
	{"examples/", []string{"*"}},
}

func TestArchitecture(t *testing.T) {
	t.Parallel()
	packages := listPackages(t)
	for path, p := range packages {
		if path == "" {
			continue
		}
		i := slices.IndexFunc(rules, func(r rule) bool {
			return path == r.prefix || strings.HasPrefix(path, strings.TrimSuffix(r.prefix, "/")+"/")
		})
		require.GreaterOrEqual(t, i, 0, "no rule for %s", path)
		for _, imported := range p.Imports {
			require.True(t, mayImport(rules[i], p.ImportPath, imported), "%s imports %s", path, imported)
		}
	}

	core := packages[""]
	for _, imported := range core.Imports {
		allowed := rule{allowed: []string{
			"github.com/samber/lo", "github.com/klauspost/compress", "github.com/cenkalti/backoff/v5", module + "/fhir",
		}}
		require.True(t, mayImport(allowed, module, imported), "the core imports %s", imported)
	}
	for path, p := range packages {
		if path == "" || strings.HasPrefix(path, "source/mem") || strings.HasPrefix(path, "store/mem") {
			require.NotContains(t, p.Deps, "net/http", path)
			require.NotContains(t, p.Deps, "testing", path)
		}
	}
}

// TestModuleGraph: heavy dependencies are those of modules of their own, whatever a
// host imports of this one.
func TestModuleGraph(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "all")
	list.Env = append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	require.NoError(t, err)
	require.Contains(t, string(out), "gorm.io/gorm ")
	for _, heavy := range []string{
		"riverqueue", "gocloud", "aws", "google", "azure", "opentelemetry", "grpc", "jwt", "jwk", "filippo",
	} {
		require.NotContains(t, strings.ToLower(string(out)), heavy)
	}
}

func mayImport(r rule, importer, imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") || imported == module || strings.HasPrefix(imported, importer+"/") {
		return true
	}
	return slices.ContainsFunc(r.allowed, func(allowed string) bool {
		return allowed == "*" || imported == allowed || strings.HasPrefix(imported, allowed+"/")
	})
}

package gormsource_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport/source/gormsource"
)

// openWithReplica opens what is written on the primary and exported from its standby.
func openWithReplica(ctx context.Context, primary, replica string) (*gormsource.Repository, error) {
	db, err := gorm.Open(postgres.Open(primary))
	if err != nil {
		return nil, err
	}
	standby, err := gorm.Open(postgres.Open(replica))
	if err != nil {
		return nil, err
	}
	repository, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{
		Replica:     standby,
		ReplicaWait: 30 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return repository, repository.Migrate(ctx)
}

// testReplicaPage exports with the code of docs/replica.md.
func testReplicaPage(t *testing.T, r *replicated) {
	page, err := os.ReadFile("../../docs/replica.md")
	require.NoError(t, err)
	code := regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindSubmatch(page)
	require.NotNil(t, code)
	file, err := os.ReadFile("example_replica_test.go")
	require.NoError(t, err)
	require.Contains(t, string(file), string(code[1]))
	for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(string(page), -1) {
		if !strings.Contains(link[1], "://") {
			require.FileExists(t, "../../docs/"+link[1])
		}
	}

	repo, err := openWithReplica(t.Context(), r.dsn, r.standbyDSN)
	require.NoError(t, err)
	putPatients(t, repo, 1, 1)
	f := newFollower(t, repo)
	f.next()
	require.Len(t, f.has, 1)
}

package gormsource_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/gormsource"
)

// testPostgresCost counts the rows that PostgreSQL reads for 20 of 2,000
// patients: while it has no statistics, and for a tenant that came after them,
// of which it believes that there is nothing.
func testPostgresCost(t *testing.T, dsn string) {
	db := openPostgres(dsn)(t)
	pool, err := db.DB()
	require.NoError(t, err)
	pool.SetMaxOpenConns(1) // counts are those of a connection until it reports them
	repo := newRepository(t, db)
	// Its statements are those for a replica, where nothing is counted.
	replica, err := gormsource.NewRepository(db, gormsource.RepositoryConfig{Replica: db})
	require.NoError(t, err)
	for _, tenant := range []string{"first", "later"} {
		_, err := repo.Load(t.Context(), tenant, bytes.NewReader(ward(2000)), gormsource.LoadOptions{})
		require.NoError(t, err)
		for i := range 20 {
			require.NoError(t, repo.Delete(t.Context(), tenant, "Observation", fmt.Sprintf("%d-1", 100*i)))
		}
		for _, repo := range []*gormsource.Repository{repo, replica} {
			for name, read := range limitedReads(t, repo, tenant) {
				before := rowsRead(t, db)
				require.NotZero(t, read(), name)
				require.Less(t, rowsRead(t, db)-before, int64(1500), "%s of the tenant that came %s", name, tenant)
			}
		}
		require.NoError(t, db.Exec("VACUUM ANALYZE").Error)
	}
}

// ward makes patients, each with two Observations and a Provenance, and a Group
// of 20 of them.
func ward(patients int) []byte {
	var b bytes.Buffer
	var members []string
	for i := range patients {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%d"}`+"\n", i)
		for k := range 2 {
			fmt.Fprintf(&b, `{"resourceType":"Observation","id":"%d-%d","subject":{"reference":"Patient/%[1]d"}}`+"\n", i, k)
		}
		fmt.Fprintf(&b, `{"resourceType":"Provenance","id":"%d","target":[{"reference":"Observation/%[1]d-0"}]}`+"\n", i)
		if i%(patients/20) == 0 {
			members = append(members, fmt.Sprintf(`{"entity":{"reference":"Patient/%d"}}`, i))
		}
	}
	fmt.Fprintf(&b, `{"resourceType":"Group","id":"g","actual":true,"member":[%s]}`+"\n", strings.Join(members, ","))
	return b.Bytes()
}

// limitedReads are all that reads a limited population, or by id.
func limitedReads(t *testing.T, repo *gormsource.Repository, tenant string) map[string]func() int {
	at, err := repo.TransactionTime(t.Context(), tenant)
	require.NoError(t, err)
	group := func(resourceType string) bulkexport.Query {
		return bulkexport.Query{
			Scope: bulkexport.Scope{Tenant: tenant, Level: bulkexport.LevelGroup, Group: "g"},
			Type:  resourceType, AsOf: at,
		}
	}
	ids := []string{"0", "1", "100", "200"}
	reads := map[string]func() int{
		"Blocks": func() (n int) {
			for _, err := range repo.Blocks(t.Context(), group("Patient"), []string{"Patient", "Observation", "Provenance"}) {
				require.NoError(t, err)
				n++
			}
			return n
		},
		"Deletions": func() (n int) {
			q := group("Observation")
			q.Since = at.AddDate(-1, 0, 0)
			for _, err := range repo.Deletions(t.Context(), q) {
				require.NoError(t, err)
				n++
			}
			return n
		},
		"UnknownPatients": func() int {
			scope := bulkexport.Scope{Tenant: tenant, Level: bulkexport.LevelPatient}
			unknown, err := repo.UnknownPatients(t.Context(), scope, []string{"none", "1"})
			require.NoError(t, err)
			return len(unknown)
		},
		"LatestProvenance": func() int {
			q := bulkexport.Query{Scope: bulkexport.Scope{Tenant: tenant, Level: bulkexport.LevelSystem}, Type: "Provenance"}
			key, err := repo.LatestProvenance(t.Context(), q, "Observation", "7-0")
			require.NoError(t, err)
			return len(key)
		},
		"Delete": func() int {
			require.NoError(t, repo.Delete(t.Context(), tenant, "Provenance", "1999"))
			return 1
		},
	}
	for _, resourceType := range []string{"Patient", "Observation", "Provenance", "Group"} {
		reads["Resources of "+resourceType] = func() int { return len(read(t, repo, group(resourceType))) }
		reads["Lookup of "+resourceType] = func() (n int) {
			q := group(resourceType)
			q.Level = bulkexport.LevelPatient
			for _, err := range repo.Lookup(t.Context(), q, append(ids, "0-0", "g")) {
				require.NoError(t, err)
				n++
			}
			return n
		}
	}
	return reads
}

func rowsRead(t *testing.T, db *gorm.DB) (n int64) {
	t.Helper()
	require.NoError(t, db.Exec("SELECT pg_stat_force_next_flush()").Error)
	const query = `SELECT (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = current_schema()) +
		(SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = current_schema())`
	require.NoError(t, db.Raw(query).Row().Scan(&n))
	return n
}

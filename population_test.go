package bulkexport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// ward fills a clinic with three patients, two of whom are in a Group.
func (c *clinic) ward() {
	c.put("Patient/a", "Patient/b", "Patient/c",
		"Observation/a1 "+of("a"), "Observation/b1 "+of("b"), "Observation/c1 "+of("c"), "Location/l",
		`Group/ward "actual":true,"member":[{"entity":{"reference":"Patient/a"}},{"entity":{"reference":"Patient/b"}}]`,
		`Group/all "actual":true,"member":[{"entity":{"reference":"Group/ward"}},{"entity":{"reference":"Patient/c"}}]`,
		`Group/nobody "actual":true`, `Group/idea "actual":false`)
}

func TestGroupExport(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.ward()
		ward := []string{"Group/ward", "Observation/a1", "Observation/b1", "Patient/a", "Patient/b"}
		require.Equal(t, ward, c.names("group/ward", ""))
		require.Equal(t, []string{"Observation/a1", "Observation/b1"}, c.names("group/ward", "_type=Observation"))
		require.Len(t, c.names("group/all", ""), 7)
		status, lines := c.export(c.parameters("group/nobody", ""))
		require.Empty(t, lines)
		require.Empty(t, status.Files)
		require.Equal(t, []string{"Patient/a"}, c.names("group/ward", "patient=Patient/a&_type=Patient"))

		_, err := c.try(c.parameters("group/none", ""))
		require.ErrorIs(t, err, bulkexport.ErrGroupNotFound)
		_, err = c.try(c.parameters("group/x y", ""))
		require.ErrorIs(t, err, bulkexport.ErrGroupNotFound)
		_, err = c.try(c.parameters("group/idea", ""))
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault)
		c.refused(c.parameters("group/ward", "patient=Patient/c"), "patient", "not-found")
		c.refused(c.parameters("group/ward", "_type=Location"), "_type", "not-supported")
	})
}

func TestGroupThatVanishesFailsTheExport(t *testing.T) {
	t.Parallel()
	gone := func(_ context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
		return resource, fmt.Errorf("read again: %w", bulkexport.ErrGroupNotFound)
	}
	inClinic(t, bulkexport.Config{Filter: gone}, func(t *testing.T, c *clinic) {
		c.ward()
		job, err := c.try(c.parameters("group/ward", ""))
		require.NoError(t, err)
		status := c.wait(job.ID)
		require.Equal(t, bulkexport.JobFailed, status.Job.State)
		require.Equal(t, "The Group does not exist any more.", status.Job.FailureReason)
	})
}

func TestGroupAccess(t *testing.T) {
	t.Parallel()
	down := errors.New("policy service is down")
	rules := func(_ context.Context, access bulkexport.Access, group string) error {
		switch group {
		case "ward":
			return nil
		case "all":
			return bulkexport.ErrForbidden
		case "down":
			return down
		}
		return fmt.Errorf("%s: %w", access.Client, bulkexport.ErrGroupNotFound)
	}
	inClinic(t, bulkexport.Config{GroupAccess: rules}, func(t *testing.T, c *clinic) {
		c.ward()
		require.Len(t, c.names("group/ward", ""), 5)
		for group, want := range map[string]error{
			"all": bulkexport.ErrForbidden, "nobody": bulkexport.ErrGroupNotFound, "down": down,
		} {
			_, err := c.try(c.parameters("group/"+group, ""))
			require.ErrorIs(t, err, want)
		}
		narrow := alice
		for _, types := range [][]string{{"Patient"}, {}} {
			narrow.Types = types
			_, err := c.exporter.KickOff(t.Context(), narrow,
				bulkexport.ExportRequest{Level: bulkexport.LevelGroup, Group: "ward"})
			require.ErrorIs(t, err, bulkexport.ErrForbidden)
		}
	})
}

func TestLevelsThatTheSourceLacks(t *testing.T) {
	t.Parallel()
	k := newKit(t, bulkexport.Config{Source: newListSource(nil)})
	for _, req := range []bulkexport.ExportRequest{
		{Level: bulkexport.LevelGroup, Group: "ward"}, {Level: "galaxy"}, {},
	} {
		_, err := k.exporter.KickOff(t.Context(), alice, req)
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault)
		require.Equal(t, "level", fault.Parameter)
	}
	for parameter, req := range map[string]bulkexport.ExportRequest{
		"patient":               {Patients: bulkexport.PatientSet{Limited: true}},
		"organizeOutputBy":      {OrganizeBy: "Patient"},
		"includeAssociatedData": {Associated: []string{bulkexport.LatestProvenance}},
	} {
		req.Level = bulkexport.LevelPatient
		_, err := k.exporter.KickOff(t.Context(), alice, req)
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault, parameter)
		require.Equal(t, [2]string{parameter, "not-supported"}, [2]string{fault.Parameter, fault.Code})
	}
	_, err := k.exporter.KickOff(t.Context(), alice, bulkexport.ExportRequest{
		Level: bulkexport.LevelPatient, Patients: bulkexport.PatientSet{Limited: true}, Lenient: true})
	var fault *bulkexport.RequestError
	require.ErrorAs(t, err, &fault, "it would be an export of everybody")
}

func TestPatientParameter(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.ward()
		both := "patient=Patient/a&patient=http://x/fhir/Patient/c"
		p := c.parameters("patient", both)
		p.URL = "http://x/fhir/Patient/$export"
		_, lines := c.export(p)
		names := namesOf(lines)
		require.Contains(t, names, "Observation/a1")
		require.Contains(t, names, "Observation/c1")
		require.NotContains(t, names, "Observation/b1")
		require.NotContains(t, names, "Patient/b")

		c.refused(c.parameters("system", "patient=Patient/a"), "patient", "not-supported")
		c.refused(c.parameters("patient", "patient=Patient/none"), "patient", "not-found")
		c.refused(c.parameters("patient", "patient=http://elsewhere/Patient/a"), "patient", "value")
		c.refused(c.parameters("patient", "patient=a"), "patient", "value")

		// However lenient, a limit does not turn into none.
		p = c.parameters("patient", "patient=Patient/none&patient=nonsense&_type=Patient")
		p.Lenient = true
		status, lines := c.export(p)
		require.Empty(t, lines["Patient"])
		require.Len(t, lines["OperationOutcome"], 2)
		require.Len(t, status.Job.Request.Ignored, 2)
		p = c.parameters("system", "patient=Patient/a")
		p.Lenient = true
		c.refused(p, "patient", "not-supported")

		// Nor does it in a request that was filled by hand.
		job, err := c.exporter.KickOff(t.Context(), alice, bulkexport.ExportRequest{Level: bulkexport.LevelPatient,
			Types: []string{"Patient"}, Patients: bulkexport.PatientSet{IDs: []string{"c", "a", "c"}}})
		require.NoError(t, err)
		require.Equal(t, bulkexport.PatientSet{Limited: true, IDs: []string{"a", "c"}}, job.Request.Patients)
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	source := newListSource(map[string]int{"Patient": 1})
	k := newKit(t, bulkexport.Config{Source: source, MaxClientExports: 2, MaxTenantExports: 3})
	kickOff := func(tenant, client string) error {
		access := bulkexport.Access{Caller: bulkexport.Caller{Tenant: tenant, Client: client}}
		_, err := k.exporter.KickOff(t.Context(), access, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
		return err
	}
	require.NoError(t, kickOff("north", "a"))
	require.NoError(t, kickOff("north", "a"))
	var limit *bulkexport.LimitError
	require.ErrorAs(t, kickOff("north", "a"), &limit)
	require.NoError(t, kickOff("north", "b"))
	require.ErrorAs(t, kickOff("north", "b"), &limit)
	require.GreaterOrEqual(t, limit.RetryAfter, time.Second)
	require.NoError(t, kickOff("south", "a"))
}

// TestLimitsTellNothingOfOthers has a tenant whose one export is nearly done, which
// only its own client may conclude from Retry-After.
func TestLimitsTellNothingOfOthers(t *testing.T) {
	t.Parallel()
	const boundary = 2 * time.Minute
	k := newKit(t, bulkexport.Config{Source: newListSource(map[string]int{"Patient": 1}), MaxTenantExports: 1})
	job, err := k.exporter.KickOff(t.Context(), alice, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
	require.NoError(t, err)
	refusal := func(access bulkexport.Access) time.Duration {
		_, err := k.exporter.KickOff(t.Context(), access, bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
		var limit *bulkexport.LimitError
		require.ErrorAs(t, err, &limit)
		return limit.RetryAfter
	}
	require.Less(t, refusal(alice), boundary)
	bob := bulkexport.Access{Caller: bulkexport.Caller{Tenant: alice.Tenant, Client: "bob"}}
	require.Equal(t, boundary, refusal(bob))
	_, err = k.store.UpdateJob(t.Context(), job.ID, func(j *bulkexport.Job) error {
		j.CreatedAt = j.CreatedAt.Add(-time.Hour)
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, boundary, refusal(bob), "the same, however far it is")
}

func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		p := c.parameters("system", "x=1&_since=now&_typeFilter=Patient%3Fx%3D1&_elements=x&includeAssociatedData=_x")
		_, err := c.exporter.ParseRequest(p)
		require.Error(t, err)
		before := -1
		for _, name := range []string{"_elements", "_since", "_typeFilter", "includeAssociatedData", "parameter x"} {
			at := strings.Index(err.Error(), name)
			require.Greater(t, at, before, "%s in %v", name, err)
			before = at
		}
		p.Lenient = true
		req, err := c.exporter.ParseRequest(p)
		require.NoError(t, err)
		require.Len(t, req.Ignored, 5)
		job, err := c.exporter.KickOff(t.Context(), alice, req)
		require.NoError(t, err)
		require.Len(t, job.Request.Ignored, 5, "each once")
	})
}

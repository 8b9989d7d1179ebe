package bulkexport_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// clinic is a kit whose source has every ability.
type clinic struct {
	*kit
	source *memsource.Source
}

// inClinic runs a test in a bubble, with an exporter that works. The source of
// cfg is filled.
func inClinic(t *testing.T, cfg bulkexport.Config, test func(t *testing.T, c *clinic)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		source := memsource.New(memsource.Config{})
		cfg.Source = source
		c := &clinic{newKit(t, cfg), source}
		c.start()
		defer c.stopper()()
		test(t, c)
	})
}

// put stores resources given as type/id and further members, and lets a moment
// go by, so that each has a time of its own.
func (c *clinic) put(resources ...string) time.Time {
	c.Helper()
	var updated time.Time
	for _, resource := range resources {
		name, members, _ := strings.Cut(resource, " ")
		resourceType, id, _ := strings.Cut(name, "/")
		if members != "" {
			members = "," + members
		}
		var err error
		updated, err = c.source.Put("north", fmt.Appendf(nil, `{"resourceType":%q,"id":%q%s}`, resourceType, id, members))
		require.NoError(c, err)
		pass(time.Second)
	}
	return updated
}

func (c *clinic) delete(name string) {
	resourceType, id, _ := strings.Cut(name, "/")
	c.source.Delete("north", resourceType, id)
	pass(time.Second)
}

// parameters reads a query as a kick-off at a level, "system", "patient" or
// "group/id".
func (c *clinic) parameters(level, query string) bulkexport.Parameters {
	c.Helper()
	level, group, _ := strings.Cut(level, "/")
	values, err := url.ParseQuery(query)
	require.NoError(c, err)
	return bulkexport.Parameters{
		URL: "http://x/fhir/$export", Level: bulkexport.Level(level), Group: group, Values: values, Post: true,
	}
}

func (c *clinic) try(p bulkexport.Parameters) (bulkexport.Job, error) {
	req, err := bulkexport.ParseRequest(p)
	if err != nil {
		return bulkexport.Job{}, err
	}
	return c.exporter.KickOff(c.Context(), alice, req)
}

// export runs an export to its end and returns what it has.
func (c *clinic) export(p bulkexport.Parameters) (bulkexport.Status, map[string][]string) {
	c.Helper()
	job, err := c.try(p)
	require.NoError(c, err)
	status := c.wait(job.ID)
	require.Equal(c, bulkexport.JobCompleted, status.Job.State, status.Job.FailureReason)
	return status, c.lines(job.ID)
}

// names runs an export and returns "Type/id" of all resources, sorted.
func (c *clinic) names(level, query string) []string {
	c.Helper()
	_, lines := c.export(c.parameters(level, query))
	return namesOf(lines)
}

func namesOf(lines map[string][]string) []string {
	var names []string
	for resourceType, list := range lines {
		for _, line := range list {
			_, rest, _ := strings.Cut(line, `"id":"`)
			id, _, _ := strings.Cut(rest, `"`)
			names = append(names, resourceType+"/"+id)
		}
	}
	slices.Sort(names)
	return names
}

// refused demands that a kick-off is refused on account of one parameter.
func (c *clinic) refused(p bulkexport.Parameters, parameter, code string) {
	c.Helper()
	_, err := c.try(p)
	var fault *bulkexport.RequestError
	require.ErrorAs(c, err, &fault, "%+v", p.Values)
	require.Equal(c, [2]string{parameter, code}, [2]string{fault.Parameter, fault.Code}, err)
}

// ticking returns a clock that never shows the same time twice, so that even the
// shortest slice ends although time stands still in a bubble.
func ticking() func() time.Time {
	var looks atomic.Int64
	return func() time.Time { return time.Now().Add(time.Duration(looks.Add(1))) }
}

func of(patient string) string { return `"subject":{"reference":"Patient/` + patient + `"}` }

package main

import (
	"strings"

	"github.com/bulkexport/bulkexport/internal/scaling/model"
)

// rulesTable turns constants into what a reader can multiply with.
func rulesTable(c model.Costs) string {
	var text strings.Builder
	row(&text, "what", "how much")
	rule(&text, 2)
	part := c.NodePart + c.DatabasePart
	resource := c.NodeResource + c.DatabaseResource
	dispatch := model.Dispatching(c, roundTrip)
	row(&text, "one core of the nodes exports", count(1/c.NodeResource)+" resources/s")
	row(&text, "one core of the database delivers", count(1/c.DatabaseResource)+" resources/s")
	row(&text, "a million resources cost the database",
		"1,000,000 rows, "+count(mega*c.ResourceBytes/batchBytes)+" statements and "+span(mega*c.DatabaseResource)+
			" of a core to read, "+span(mega*c.PlanResource)+" to plan")
	row(&text, "each part of them", count(c.PartStatements)+" statements, "+span(c.DatabasePart)+" of a core, "+
		size(c.PartWAL)+" of write-ahead log")
	row(&text, "one connection plans (a job is planned by one)", count(1/c.PlanResource)+" resources/s")
	row(&text, "a part costs as much as", count(part/resource)+" resources")
	row(&text, "so parts cost less than 2 % from", count(part/resource/0.02)+" resources each")
	row(&text, "all nodes together begin at most (round trips of 0.5 ms)",
		count(1/dispatch)+" parts/s, less one for each node")
	row(&text, "heartbeats of a running part", count(c.BeatStatements/beatInterval)+" statements/s, "+
		size(c.BeatWAL/beatInterval)+"/s of write-ahead log")
	row(&text, "heartbeats take one core of the database from", count(beatInterval/c.DatabaseBeat)+" running parts")
	row(&text, "a look at all of 10,000 parts takes", span(10_000*c.DatabaseRead)+" of the database, "+
		span(10_000*c.NodeRead)+" and "+size(10_000*c.ReadMemory)+" of a node")
	row(&text, "a poll that finds nothing new, with 10,000 parts", span(10_000*c.DatabaseSum)+" of the database")
	row(&text, "an idle node costs the database", number(c.DatabaseIdle*100)+" % of a core, "+
		count(c.IdleStatements)+" statements/s")
	return text.String()
}

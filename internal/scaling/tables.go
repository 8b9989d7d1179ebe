package main

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/bulkexport/bulkexport/internal/scaling/model"
)

// table is one of docs/scaling.md, which has it between two comments with its title.
type table struct{ title, text string }

// tablesOf returns all tables.
func tablesOf(runs []run, c model.Costs) []table {
	return []table{
		{"Three sizes", sizesTable(runs)},
		{"More nodes", nodesTable(c)},
		{"Load besides reading", loadTable(runs, c)},
		{"All parts at once", recordsTable(runs, c)},
		{"Bounds", boundsTable(runs, c)},
		{"Rules of thumb", rulesTable(c)},
		{"Constants", constantsTable(c)},
	}
}

// tables prints all tables.
func tables(c model.Costs) string {
	var text strings.Builder
	for _, t := range tablesOf(simulateAll(c), c) {
		fmt.Fprintf(&text, "### %s\n\n%s\n", t.title, t.text)
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// run is a scenario and how it went.
type run struct {
	scenario
	result model.Result
}

func simulateAll(c model.Costs) []run {
	var runs []run
	for _, s := range scenarios() {
		runs = append(runs, run{s, model.Simulate(s.Setup, c)})
	}
	return runs
}

// constantsTable lists the constants of the model.
func constantsTable(c model.Costs) string {
	var text strings.Builder
	row(&text, "constant", "value", "what", "measured by `-measure -only`")
	rule(&text, 4)
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		unit := tag.Get("unit")
		value := v.Field(i).Float() * model.Scale(unit)
		row(&text, "`"+tag.Get("json")+"`", strings.TrimSpace(number(value)+" "+unit), tag.Get("about"), tag.Get("by"))
	}
	return text.String()
}

// sizesTable says how long exports take, and what is full.
func sizesTable(runs []run) string {
	var text strings.Builder
	row(&text, "resources", "settings", "fleet", "parts, files", "plan", "whole export", "first bottleneck", "second")
	rule(&text, 8)
	for _, s := range runs {
		r := s.result
		first, second := bottlenecks(r)
		row(&text, s.size, s.settings, fleetOf(s.Setup), count(float64(r.Parts))+", "+count(float64(r.Files)),
			span(r.Planned), span(r.Seconds), first, second)
	}
	return text.String()
}

func fleetOf(s model.Setup) string {
	disk := "all in memory"
	if s.DatabaseDisk > 0 {
		disk = size(s.DatabaseDisk) + "/s of disk"
	}
	return fmt.Sprintf("%d × %d workers, %d cores; database %d cores, %s",
		s.Nodes, s.Workers, s.NodeCores, s.DatabaseCores, disk)
}

// bottlenecks returns the first, and what is the fullest besides.
func bottlenecks(r model.Result) (first, second string) {
	load := func(l model.Load) string { return fmt.Sprintf("%s, %.0f %%", l.Name, 100*l.Share) }
	name := r.Bottleneck()
	i := slices.IndexFunc(r.Loads, func(l model.Load) bool { return l.Name != name && l.Name != model.Workers })
	second = load(r.Loads[i])
	switch name {
	case model.Plan:
		return fmt.Sprintf("%s, %.0f %% of the time", name, 100*r.Planned/r.Seconds), second
	case model.Tail:
		return name, second
	}
	return load(r.Loads[0]), second
}

// loadTable says what an export costs the database besides reading.
func loadTable(runs []run, c model.Costs) string {
	var text strings.Builder
	row(&text, "resources", "settings", "processors for reading", "for planning", "for all else", "statements",
		"write-ahead log", "records of parts read", "longest sweep")
	rule(&text, 9)
	for _, s := range runs {
		r := s.result
		n := float64(s.Resources())
		row(&text, s.size, s.settings, span(n*c.DatabaseResource), span(n*c.PlanResource), span(r.DatabaseSeconds),
			count(r.Statements/r.Seconds)+"/s", size(r.WAL), count(r.PartReads), span(r.LongestSweep))
	}
	return text.String()
}

// recordsTable says what a look at all parts is, and what follows for clients.
func recordsTable(runs []run, c model.Costs) string {
	var text strings.Builder
	row(&text, "resources", "settings", "a look at all parts", "its memory", "manifest of one page",
		"its pages (`ManifestFiles`)", "processors for all pages", "for all downloads through the handler")
	rule(&text, 8)
	for _, s := range runs {
		r := s.result
		is := model.RecordOf(r.Parts, r.Files, c)
		pages := (r.Files + int64(s.page) - 1) / int64(s.page)
		row(&text, s.size, s.settings, size(is.Bytes)+", "+span(is.Seconds), size(is.Memory), size(is.Manifest),
			fmt.Sprintf("%s (%d)", count(float64(pages)), s.page), span(float64(pages)*is.Seconds),
			span(float64(r.Files)*is.Seconds))
	}
	return text.String()
}

// boundsTable says which bounds are met.
func boundsTable(runs []run, c model.Costs) string {
	var text strings.Builder
	row(&text, "what", "bound", "10 million", "1 billion", "100 billion")
	rule(&text, 5)
	line := func(what string, bound float64, value func(model.Setup, model.Result) float64) {
		cells := []string{what, span(bound)}
		for _, s := range runs {
			if s.settings != defaults {
				continue
			}
			v := value(s.Setup, s.result)
			cell := span(v)
			if v > bound {
				cell = "**" + cell + "**"
			}
			cells = append(cells, cell)
		}
		row(&text, cells...)
	}
	line("count, or cut, the largest type: one answer of the source (`StallTimeout`)", stallTimeout,
		func(s model.Setup, _ model.Result) float64 { return float64(s.Types[0]) * c.PlanResource / 2 })
	line("the whole plan: one task (`riverrunner.Config.Timeout`)", riverTimeout,
		func(_ model.Setup, r model.Result) float64 { return r.Planned })
	line("storing the plan (30 s for a call of the store)", storeTimeout,
		func(_ model.Setup, r model.Result) float64 { return float64(r.Parts) * c.PlanPart })
	line("a look at all parts (30 s for a call of the store)", storeTimeout,
		func(_ model.Setup, r model.Result) float64 { return model.RecordOf(r.Parts, r.Files, c).Seconds })
	line("a sweep (`Lease`/3)", defaultLease/3, func(_ model.Setup, r model.Result) float64 { return r.LongestSweep })
	line("the whole export (`MaxDuration`)", maxDuration,
		func(_ model.Setup, r model.Result) float64 { return r.Seconds })
	line("download by a client with 1 Gbit/s (`TTL`)", timeToLive, func(s model.Setup, _ model.Result) float64 {
		return float64(s.Resources()) * c.ResourceBytes / clientNetwork
	})
	return text.String()
}

// nodesTable shows where more nodes cease to help.
func nodesTable(c model.Costs) string {
	var text strings.Builder
	row(&text, "nodes", "workers in all", "whole export", "resources per second", "of linear", "first bottleneck")
	rule(&text, 6)
	var one float64
	for _, s := range growing() {
		r := model.Simulate(s, c)
		rate := float64(s.Resources()) / r.Seconds
		if one == 0 {
			one = rate
		}
		first, _ := bottlenecks(r)
		row(&text, strconv.Itoa(s.Nodes), strconv.Itoa(s.Nodes*s.Workers), span(r.Seconds), count(rate),
			fmt.Sprintf("%.2f", rate/one/float64(s.Nodes)), first)
	}
	return text.String()
}

func row(text *strings.Builder, cells ...string) {
	fmt.Fprintf(text, "| %s |\n", strings.Join(cells, " | "))
}

func rule(text *strings.Builder, cells int) {
	text.WriteString("|" + strings.Repeat("---|", cells) + "\n")
}

// number writes two digits that count.
func number(value float64) string {
	return strconv.FormatFloat(model.Digits(value, 2), 'f', -1, 64)
}

// unit is a word for a number of something.
type unit struct {
	worth float64
	name  string
}

// in writes a value in the largest unit that it has at least one of, or in the last.
func in(value float64, units ...unit) string {
	for i, u := range units {
		if value >= u.worth || i == len(units)-1 {
			return number(value/u.worth) + u.name
		}
	}
	return number(value)
}

// count writes a number with commas, or in words.
func count(value float64) string {
	switch {
	case value >= giga:
		return number(value/giga) + " billion"
	case value >= 10*mega:
		return number(value/mega) + " million"
	}
	text := number(value)
	for i := len(text) - 3; i > 0 && value >= 1000; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func size(bytes float64) string {
	return in(bytes, unit{1e12, " TB"}, unit{giga, " GB"}, unit{mega, " MB"}, unit{1e3, " kB"}, unit{1, " B"})
}

// span writes a time.
func span(seconds float64) string {
	switch {
	case seconds >= 2*day:
		return number(seconds/day) + " d"
	case seconds >= 1.5*hour:
		return number(seconds/hour) + " h"
	case seconds >= 1.5*minute:
		return number(seconds/minute) + " min"
	case seconds >= 1:
		return number(seconds) + " s"
	}
	return number(seconds*1e3) + " ms"
}

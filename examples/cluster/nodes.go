package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
	"github.com/bulkexport/bulkexport/internal/fleet"
)

const (
	// lease is how long the parts of a dead node are its own. Production takes the
	// default of 15 seconds: a node that only stumbles keeps its work.
	lease = 3 * time.Second
	// workers is how many parts a node is at.
	workers = 2
	// parts is about how many there are, and length how long an export would take
	// if nobody died: the nodes are slowed down, so that there is something to see.
	parts  = 60
	length = 8 * time.Second
	// perPatient is about how many resources a patient has.
	perPatient = 47
	startTime  = 2 * time.Minute
)

// node is a server with a name.
type node struct {
	*fleet.Node
	name string
}

// start starts the nodes. The first one loads the records.
func (p *play) start(ctx context.Context) error {
	p.out.printf("PostgreSQL at %s, an S3 server at %s: private ones.\n",
		p.fleet.Postgres.URL().Host, p.fleet.S3.Endpoint())
	loaded := &dataset.Digest{}
	if err := (dataset.Source{Patients: p.patients}).Each(digestInto(loaded)); err != nil {
		return err
	}
	var err error
	if p.loaded, err = loaded.Types(); err != nil {
		return err
	}
	for i := range p.nodes {
		if err := p.startNode(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (p *play) startNode(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	resources := p.patients * perPatient
	args := []string{
		"-lease", lease.String(), "-workers", strconv.Itoa(workers),
		"-max-file-resources", strconv.Itoa(max(resources/parts, 10)),
		"-rate-per-worker", fmt.Sprint(float64(resources) / float64(p.nodes*workers) / length.Seconds()),
		// Whoever polls here does so in the order of the guide, but one after another.
		"-poll-limit", "-1",
	}
	said := "shares them"
	if i == 0 {
		args = append(args, "-generate", strconv.Itoa(p.patients))
		lines, size := total(p.loaded)
		said = fmt.Sprintf("has loaded %d resources (%.1f MB) of %d made-up patients", lines, float64(size)/1e6, p.patients)
	}
	started, err := p.fleet.StartNode(ctx, args...)
	if err != nil {
		return fmt.Errorf("node %s: %w", letter(i), err)
	}
	p.up = append(p.up, &node{started, letter(i)})
	p.out.printf("Node %s at %s %s.\n", letter(i), started.BaseURL, said)
	return nil
}

func letter(i int) string { return string(rune('A' + i)) }

// nameOf returns the name of a node that River calls id.
func (p *play) nameOf(id string) string {
	for _, n := range p.up {
		if n.ID == id {
			return n.name
		}
	}
	return "?"
}

func (p *play) killAll() {
	for _, n := range p.up {
		n.Kill()
	}
}

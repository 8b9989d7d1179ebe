package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
	"github.com/bulkexport/bulkexport/internal/bulkclient"
	"github.com/bulkexport/bulkexport/internal/fleet"
)

// play is an export from kick-off to delete.
type play struct {
	options

	fleet  *fleet.Fleet
	client *bulkclient.Client
	up     []*node // all that were started, by their names
	loaded map[string]dataset.Fingerprint

	steps  int
	job    string // path of its status
	killed time.Time
	held   []fleet.Held // what the dead node was at
}

// Some processes of the play.
func (p *play) first() *node  { return p.up[0] }
func (p *play) second() *node { return p.up[1] }
func (p *play) last() *node   { return p.up[len(p.up)-1] }

func (p *play) perform(ctx context.Context) error {
	if err := p.kickOff(ctx); err != nil {
		return err
	}
	if err := p.watch(ctx, p.halfWay(ctx)); err != nil {
		return err
	}
	if err := p.kill(ctx); err != nil {
		return err
	}
	if err := p.watch(ctx, nil); err != nil {
		return err
	}
	if err := p.showTakeOver(ctx); err != nil {
		return err
	}
	if err := p.download(ctx); err != nil {
		return err
	}
	return p.delete(ctx)
}

// step begins a step.
func (p *play) step(title string) {
	p.steps++
	p.out.printf("\n%d. %s\n", p.steps, title)
}

func (p *play) say(format string, args ...any) { p.out.printf("   "+format+"\n", args...) }

func (p *play) kickOff(ctx context.Context) (err error) {
	p.step("Kick off on A")
	at := p.first().BaseURL
	p.say("$ curl -i -H 'Prefer: respond-async' '%s/fhir/$export'", at)
	if p.job, err = p.client.KickOff(ctx, at, ""); err != nil {
		return err
	}
	p.say("202 Accepted")
	p.say("Content-Location: %s%s", at, p.job)
	p.step("Poll B")
	p.say("$ curl -i '%s%s'", p.second().BaseURL, p.job)
	return nil
}

// halfWay returns what says when the export has come so far that A may die: it
// is at something then.
func (p *play) halfWay(ctx context.Context) func(percent int) (bool, error) {
	return func(percent int) (bool, error) {
		if percent < 30 {
			return false, nil
		}
		var err error
		p.held, err = p.heldBy(ctx, p.first().ID)
		return len(p.held) > 0, err
	}
}

func (p *play) heldBy(ctx context.Context, id string) ([]fleet.Held, error) {
	held, err := p.fleet.Held(ctx)
	return slices.DeleteFunc(held, func(h fleet.Held) bool {
		return h.Node != id || !strings.HasSuffix(p.job, h.Job)
	}), err
}

// watch polls B until enough says so, or the export is complete. It prints a line now
// and then.
func (p *play) watch(ctx context.Context, enough func(percent int) (bool, error)) error {
	shown := -100
	for {
		answer, manifest, err := p.client.Status(ctx, p.second().BaseURL, p.job)
		switch {
		case err != nil:
			return err
		case manifest != nil && enough != nil:
			return errors.New("the export was complete before A could be killed; take more -patients")
		case manifest != nil:
			p.say("200 OK, %d files, the state of %s", len(manifest.Output), manifest.TransactionTime)
			return nil
		}
		progress := answer.Header.Get("X-Progress")
		percent := 0
		_, _ = fmt.Sscanf(progress, "%d%%", &percent) // there is none before the plan
		if percent >= shown+10 {
			p.say("202 Accepted, %s", progress)
			shown = percent
		}
		if enough != nil {
			if done, err := enough(percent); done || err != nil {
				return err
			}
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func (p *play) kill(ctx context.Context) error {
	p.step("Kill A in mid-export")
	p.say("$ kill -9 %d", p.first().PID())
	p.first().Kill()
	p.killed = time.Now()
	held, err := p.heldBy(ctx, p.first().ID)
	if err != nil {
		return err
	}
	p.held = held
	leader, err := p.fleet.Leader(ctx)
	if err != nil {
		return err
	}
	role := "was not the leader, which is " + p.nameOf(leader)
	if leader == p.first().ID {
		role = "was the leader"
	}
	p.say("It %s. It leaves %d parts of the export half done.", role, len(held))
	return nil
}

// showTakeOver says who went on with what A was at.
func (p *play) showTakeOver(ctx context.Context) error {
	for _, h := range p.held {
		next, err := p.fleet.Next(ctx, h, p.killed)
		if err != nil {
			return err
		}
		if next.Node != "" {
			p.say("Part %d: %s went on with it %.1f s after the kill.",
				h.Part, p.nameOf(next.Node), next.At.Sub(p.killed).Seconds())
		}
	}
	return nil
}

func (p *play) delete(ctx context.Context) error {
	p.step("Delete on B")
	objects, err := p.fleet.Objects()
	if err != nil {
		return err
	}
	p.say("The bucket has %d objects.", len(objects))
	p.say("$ curl -i -X DELETE '%s%s'", p.second().BaseURL, p.job)
	answer, err := p.client.Do(ctx, http.MethodDelete, p.second().BaseURL+p.job)
	if err != nil {
		return err
	}
	began := time.Now()
	p.say("%d %s", answer.Code, http.StatusText(answer.Code))
	for _, n := range p.up[1:] {
		_, _, err := p.client.Status(ctx, n.BaseURL, p.job)
		var gone *bulkclient.StatusError
		if !errors.As(err, &gone) || gone.Code != http.StatusNotFound {
			return fmt.Errorf("%s still knows the job: %w", n.name, err)
		}
		p.say("%s: 404 Not Found", n.name)
	}
	if err := p.awaitEmpty(ctx); err != nil {
		return err
	}
	p.say("The bucket is empty after %.1f s.", time.Since(began).Seconds())
	return nil
}

// emptyTime bounds how long it takes until the last object is gone: some sweeps.
const emptyTime = time.Minute

func (p *play) awaitEmpty(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, emptyTime)
	defer cancel()
	for {
		objects, err := p.fleet.Objects()
		if err != nil || len(objects) == 0 {
			return err
		}
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d objects are left over: %w", len(objects), err)
		}
	}
}

// linger waits for an interrupt if the servers are to stay.
func (p *play) linger(ctx context.Context) error {
	if !p.keep {
		return nil
	}
	p.out.printf("\nB and the others go on until an interrupt (Ctrl-C). PostgreSQL is %s\n", p.fleet.DSN())
	<-ctx.Done()
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

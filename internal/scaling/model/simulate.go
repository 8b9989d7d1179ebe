package model

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// The names of what can be the bottleneck.
const (
	Plan         = "plan (one connection counts and cuts)"
	Workers      = "workers (all at work, nothing else is full)"
	Tail         = "too few parts (workers without work)"
	DatabaseCPU  = "processors of the database"
	DatabaseDisk = "disks of the database"
	NodeCPU      = "processors of the nodes"
	NodeNetwork  = "network of the nodes"
	Storage      = "bandwidth of the file store"
	Dispatcher   = "lock of the dispatcher"
	Source       = "pace of the source"
)

// Result is how an export went.
type Result struct {
	// Ended is false if it would have gone on for more than three months, or nobody is left.
	Ended bool
	// Seconds is from kick-off to the end, Planned to the end of the plan.
	Seconds, Planned float64
	Parts, Files     int64
	// Written counts the resources in committed files, Again those that were read
	// once more since a node died.
	Written, Again int64
	// Loads are the shares of their time in which the parts of the fleet were at work,
	// the highest first.
	Loads []Load
	// DatabaseSeconds is the processor time of the database without that of reading
	// resources and planning. Statements are all, WAL is in bytes.
	DatabaseSeconds, Statements, WAL float64
	// NodeSeconds is the processor time of all nodes.
	NodeSeconds float64
	// PartReads counts the records of parts that sweeps, finishes and polls have read.
	PartReads float64
	// LongestSweep is in seconds of a processor.
	LongestSweep float64
}

// Load is how busy something was, from 0 to 1.
type Load struct {
	Name  string
	Share float64
}

// busy is the share from which on something is taken for full.
const busy = 0.8

// Bottleneck names what would have to be more or faster for the export to take less
// time.
func (r Result) Bottleneck() string {
	if r.Planned > r.Seconds/2 {
		return Plan
	}
	if r.Loads[0].Share >= busy {
		return r.Loads[0].Name
	}
	return Tail
}

// limit is three months.
const limit = 90 * 24 * 3600.0

// Simulate runs an export. The same setup and costs have the same result.
func Simulate(s Setup, c Costs) Result {
	f := newFleet(s, c)
	f.plan()
	f.tick()
	f.sweep()
	for range s.Clients {
		f.poll()
	}
	f.scheduleDeaths()
	for !f.ended && f.clock.now < limit && !f.lost && f.clock.step() {
	}
	return f.result()
}

// fleet is the state of a simulation.
type fleet struct {
	Setup
	costs Costs
	clock *clock

	database, disk, storage, dispatcher *station

	nodes   []*node
	parts   []part
	waiting []int // parts that somebody may begin, from the first
	first   int
	open    int // parts that are not done
	orphans []int

	planning int // counts the attempts
	planned  float64
	ended    bool
	lost     bool // there is no node any more, and will be none
	finish   finish
	sums     Result
}

// node is a process.
type node struct {
	index   int
	alive   bool
	free    int // workers
	running []*attempt
	cpu     *station
	network *station
	pace    *station
	used    float64 // seconds of workers
}

// part is what is left of it.
type part struct {
	left  int64
	begun bool
	due   float64 // after a death: when its lease ends
}

// attempt is a worker at a part.
type attempt struct {
	node  *node
	part  int
	dead  bool
	began float64
	beat  float64 // until when heartbeats are charged
	doing int64   // resources that are read and not committed
}

func newFleet(s Setup, c Costs) *fleet {
	f := &fleet{Setup: s, costs: c, clock: &clock{}}
	f.database = f.station(s.DatabaseCores)
	f.dispatcher = f.station(1)
	if s.DatabaseDisk > 0 {
		f.disk = f.station(1)
	}
	if s.StorageBandwidth > 0 {
		f.storage = f.station(1)
	}
	for i := range s.Nodes {
		n := &node{index: i, alive: true, free: s.Workers, cpu: f.database}
		if !s.OneMachine {
			n.cpu = f.station(s.NodeCores)
		}
		if s.NodeNetwork > 0 {
			n.network = f.station(1)
		}
		if s.NodePace > 0 {
			n.pace = f.station(1)
		}
		f.nodes = append(f.nodes, n)
	}
	return f
}

func (f *fleet) station(servers int) *station { return &station{clock: f.clock, servers: servers} }

// leader is the node that sweeps.
func (f *fleet) leader() *node {
	for _, n := range f.nodes {
		if n.alive {
			return n
		}
	}
	return nil
}

// plan counts and cuts, one statement after the other.
func (f *fleet) plan() {
	f.planning++
	attempt := f.planning
	parts := f.Parts()
	f.database.serve(float64(f.Resources())*f.costs.PlanResource+float64(len(parts))*f.costs.PlanPart, func() {
		if attempt == f.planning {
			f.setParts(parts)
		}
	})
}

func (f *fleet) setParts(parts []int64) {
	f.planned = f.clock.now
	for i, size := range parts {
		f.parts = append(f.parts, part{left: size})
		f.waiting = append(f.waiting, i)
	}
	f.open = len(f.parts)
	f.sums.Parts = int64(f.open)
	f.assign()
	if f.open == 0 {
		f.askFinish()
	}
}

// assign gives waiting parts to free workers, on the node with most of them first.
func (f *fleet) assign() {
	for f.first < len(f.waiting) {
		best := slices.MaxFunc(f.nodes, func(a, b *node) int { return cmp.Compare(a.room(), b.room()) })
		if best.room() <= 0 {
			return
		}
		index := f.waiting[f.first]
		f.first++
		f.begin(best, index)
	}
}

func (n *node) room() int {
	if !n.alive {
		return 0
	}
	return n.free
}

func (f *fleet) begin(n *node, index int) {
	n.free--
	a := &attempt{node: n, part: index, began: f.clock.now, beat: f.clock.now}
	n.running = append(n.running, a)
	f.count(f.costs.DatabasePart, f.costs.PartStatements, f.costs.PartWAL)
	f.chain(a,
		func(then func()) { f.clock.after(f.pause(), then) },
		func(then func()) { f.database.serve(f.costs.DatabasePart, then) },
		func(then func()) { f.compute(n, f.costs.NodePart, then) },
		func(func()) { f.read(a) },
	)
}

// Dispatching returns how long a dispatch holds the lock that all nodes share, in
// seconds, where a statement and its answer are on their way for roundTrip seconds.
func Dispatching(c Costs, roundTrip float64) float64 {
	return c.DispatchSeconds + c.CommitSeconds + dispatchTrips*roundTrip
}

func (f *fleet) dispatching() float64 { return Dispatching(f.costs, f.RoundTrip) }

// pause is what a worker waits for each part, besides for the dispatcher.
func (f *fleet) pause() float64 {
	waits := f.costs.PartSeconds + f.costs.PartStatements*f.RoundTrip
	return max(waits-f.dispatching(), 0)
}

// chain goes from one step to the next, unless the attempt dies.
func (f *fleet) chain(a *attempt, steps ...func(then func())) {
	if a.dead || len(steps) == 0 {
		return
	}
	steps[0](func() { f.chain(a, steps[1:]...) })
}

// compute uses a processor of a node.
func (f *fleet) compute(n *node, seconds float64, then func()) {
	f.sums.NodeSeconds += seconds
	n.cpu.serve(seconds, then)
}

// count counts load of the database besides that of reading resources.
func (f *fleet) count(seconds, statements, wal float64) {
	f.sums.DatabaseSeconds += seconds
	f.sums.Statements += statements
	f.sums.WAL += wal
}

// read reads the next piece of a part, which ends with a commit.
func (f *fleet) read(a *attempt) {
	p := &f.parts[a.part]
	n := min(p.left, f.piece(a.part))
	a.doing = n
	files := f.files(n, f.costs)
	further := files
	if !p.begun {
		further--
	}
	p.begun = true
	count, bytes := float64(n), float64(n)*f.costs.ResourceBytes
	more := float64(further)
	f.count(more*f.costs.DatabaseFile, more*f.costs.FileStatements+bytes/batchBytes, 0)
	f.chain(a,
		func(then func()) { f.disk.serve(count*f.costs.StoredBytes/f.DatabaseDisk, then) },
		func(then func()) {
			f.database.serve(count*f.costs.DatabaseResource+more*f.costs.DatabaseFile, then)
		},
		func(then func()) { f.compute(a.node, count*f.costs.NodeResource+more*f.costs.NodeFile, then) },
		func(then func()) { a.node.pace.serve(count/f.NodePace, then) },
		func(then func()) { a.node.network.serve(bytes/f.NodeNetwork, then) },
		func(then func()) { f.storage.serve(bytes/f.StorageBandwidth, then) },
		func(then func()) { f.clock.after(f.delay(count, bytes, float64(files)), then) },
		func(then func()) { f.beats(a, then) },
		func(func()) { f.commit(a, n, files) },
	)
}

// piece returns how many resources of a part are read in one go.
func (f *fleet) piece(index int) int64 {
	size := f.fileResources(f.costs)
	if f.Visits > 0 {
		size = max(size, ceil(f.parts[index].left, int64(f.Visits)))
	}
	return size
}

// delay is what nobody waits for but the worker.
func (f *fleet) delay(count, bytes, files float64) float64 {
	delay := files * f.StorageSeconds
	if f.UploadBandwidth > 0 {
		delay += bytes / f.UploadBandwidth
	}
	if f.WorkerPace > 0 {
		delay += count / f.WorkerPace
	}
	return delay
}

// beats charges the heartbeats since the last time.
func (f *fleet) beats(a *attempt, then func()) {
	n := math.Floor((f.clock.now - a.beat) / beatInterval)
	a.beat += n * beatInterval
	f.count(n*f.costs.DatabaseBeat, n*f.costs.BeatStatements, n*f.costs.BeatWAL)
	f.database.serve(n*f.costs.DatabaseBeat, func() { f.compute(a.node, n*f.costs.NodeBeat, then) })
}

func (f *fleet) commit(a *attempt, n, files int64) {
	p := &f.parts[a.part]
	p.left -= n
	a.doing = 0
	f.sums.Written += n
	f.sums.Files += files
	if p.left > 0 {
		f.read(a)
		return
	}
	f.open--
	f.askFinish()
	f.dispatcher.serve(f.dispatching(), func() {
		if !a.dead {
			f.release(a)
			f.assign()
		}
	})
}

func (f *fleet) release(a *attempt) {
	n := a.node
	n.free++
	n.used += f.clock.now - a.began
	n.running = slices.DeleteFunc(n.running, func(b *attempt) bool { return a == b })
}

// result sums up.
func (f *fleet) result() Result {
	r := f.sums
	r.Ended, r.Seconds, r.Planned = f.ended, f.clock.now, f.planned
	worked := r.Seconds - r.Planned
	var used, cpu, network, pace float64
	for _, n := range f.nodes {
		for _, a := range n.running {
			n.used += r.Seconds - a.began
		}
		used += n.used
		cpu = max(cpu, n.cpu.share(r.Seconds))
		network = max(network, n.network.share(worked))
		pace = max(pace, n.pace.share(worked))
	}
	if f.OneMachine {
		cpu = 0 // it is that of the database
	}
	r.Loads = []Load{
		{DatabaseCPU, f.database.share(r.Seconds)},
		{DatabaseDisk, f.disk.share(worked)},
		{NodeCPU, cpu},
		{NodeNetwork, network},
		{Storage, f.storage.share(worked)},
		{Dispatcher, f.dispatcher.share(r.Seconds)},
		{Source, pace},
	}
	slices.SortStableFunc(r.Loads, func(a, b Load) int { return cmp.Compare(b.Share, a.Share) })
	// Workers who wait for what is full are at work too: they come last.
	at := used / max(worked, 1e-9) / float64(f.Nodes*f.Workers)
	i := slices.IndexFunc(r.Loads, func(l Load) bool { return l.Share < busy })
	if i < 0 {
		i = len(r.Loads)
	}
	r.Loads = slices.Insert(r.Loads, i, Load{Workers, at})
	return r
}

// scheduleDeaths decides when nodes die.
func (f *fleet) scheduleDeaths() {
	for _, d := range f.Deaths {
		f.clock.after(d.At, func() { f.die(f.nodes[d.Node]) })
	}
	if f.DeathsPerHour <= 0 {
		return
	}
	random := rand.New(rand.NewPCG(f.Seed, 0)) //nolint:gosec // it has to be the same each time
	for _, n := range f.nodes {
		f.dieAtRandom(n, random)
	}
}

func (f *fleet) dieAtRandom(n *node, random *rand.Rand) {
	f.clock.after(random.ExpFloat64()*3600/f.DeathsPerHour, func() {
		f.die(n)
		f.dieAtRandom(n, random)
	})
}

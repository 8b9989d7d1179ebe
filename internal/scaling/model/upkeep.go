package model

import "math"

// tick is what idle nodes do each second, all together: they say that they are alive,
// and look for tasks to hand over.
func (f *fleet) tick() {
	idle := float64(f.alive()) * tickInterval
	f.count(idle*f.costs.DatabaseIdle, idle*f.costs.IdleStatements, 0)
	f.database.serve(idle*f.costs.DatabaseIdle, func() {})
	f.dispatcher.serve(idle*f.dispatching(), func() {})
	f.clock.after(tickInterval, f.tick)
}

func (f *fleet) alive() (sum int) {
	for _, n := range f.nodes {
		if n.alive {
			sum++
		}
	}
	return sum
}

// look reads all parts, on a node.
func (f *fleet) look(n *node, more float64, then func()) {
	parts := float64(len(f.parts))
	f.sums.PartReads += parts
	seconds := parts*f.costs.DatabaseRead + more
	f.count(seconds, 1, 0)
	f.database.serve(seconds, func() {
		if n == nil {
			n = f.nodes[0] // there is nobody else who could
		}
		f.compute(n, parts*f.costs.NodeRead, then)
	})
}

// sweep looks at all parts and enqueues those that wait, again, and those whose lease
// has ended.
func (f *fleet) sweep() {
	for _, n := range f.nodes {
		f.compute(n, f.costs.NodeIdle*f.Lease/sweepsInLease, func() {})
	}
	leader := f.leader()
	began, interval := f.clock.now, f.Lease/sweepsInLease
	waiting := float64(len(f.waiting) - f.first)
	f.count(0, 0, waiting*f.costs.EnqueueWAL)
	work := float64(len(f.parts))*(f.costs.DatabaseRead+f.costs.NodeRead) + waiting*f.costs.EnqueueTask
	f.sums.LongestSweep = max(f.sums.LongestSweep, work)
	f.look(leader, waiting*f.costs.EnqueueTask, func() {
		took := f.clock.now - began
		if leader != nil && leader.alive {
			f.takeOver()
			f.clock.after(max(interval-took, 0), f.sweep)
			return
		}
		f.clock.after(leaderTimeout, f.sweep)
	})
}

// takeOver enqueues the parts of the dead.
func (f *fleet) takeOver() {
	var rest []int
	for _, index := range f.orphans {
		if f.parts[index].due <= f.clock.now {
			f.waiting = append(f.waiting, index)
		} else {
			rest = append(rest, index)
		}
	}
	f.orphans = rest
	f.assign()
}

// poll is a client's.
func (f *fleet) poll() {
	f.clock.after(f.PollInterval, func() {
		parts := float64(len(f.parts))
		f.look(f.leader(), parts*f.costs.DatabaseSum, f.poll)
	})
}

// die ends a node. What it was at begins again where its committed files end.
func (f *fleet) die(n *node) {
	if !n.alive {
		return
	}
	if f.planned == 0 && n == f.leader() {
		f.planning++ // what it does now is for nothing
		f.clock.after(f.Lease*(1+1/sweepsInLease), f.plan)
	}
	n.alive = false
	for _, a := range n.running {
		f.orphan(a)
	}
	n.running, n.free = nil, f.Workers
	if f.RestartSeconds == 0 {
		f.lost = f.leader() == nil
		return
	}
	f.clock.after(f.RestartSeconds, func() {
		n.alive = true
		f.assign()
	})
}

func (f *fleet) orphan(a *attempt) {
	a.dead = true
	a.node.used += f.clock.now - a.began
	f.sums.Again += a.doing
	if p := &f.parts[a.part]; p.left > 0 {
		p.due = f.clock.now + f.Lease
		f.orphans = append(f.orphans, a.part)
	}
}

// finish is the task that finds out whether all is done. There is one, and perhaps
// one more that waits.
type finish struct {
	waits bool
	at    float64
	turn  int
}

// askFinish is called when a part has ended. While others wait it takes its time.
func (f *fleet) askFinish() {
	pause := 0.0
	if f.first < len(f.waiting) {
		pause = finishPause
	}
	at := f.clock.now + pause
	if f.finish.waits && f.finish.at <= at {
		return
	}
	f.finish.waits, f.finish.at = true, at
	f.finish.turn++
	turn := f.finish.turn
	f.clock.after(pause, func() {
		if turn == f.finish.turn {
			f.tryFinish()
		}
	})
}

func (f *fleet) tryFinish() {
	f.finish.waits = false
	done := f.open == 0
	f.look(f.leader(), 0, func() { f.ended = f.ended || done })
}

// Record is what the job store, and a client, have to do with all parts at once.
type Record struct {
	// Bytes is what a look at all parts reads; Seconds is how long it takes, Memory how
	// much of it the node needs.
	Bytes, Seconds, Memory float64
	// Manifest is the size of a manifest of one page.
	Manifest float64
}

// RecordOf returns what a number of parts and files make.
func RecordOf(parts, files int64, c Costs) Record {
	further := math.Max(float64(files-parts), 0)
	entry := c.EntryBytes // a file in a record is about as long as in a manifest
	bytes := float64(parts)*c.RecordBytes + further*entry
	longer := bytes / math.Max(float64(parts)*c.RecordBytes, 1)
	return Record{
		Bytes:    bytes,
		Seconds:  float64(parts) * (c.NodeRead + c.DatabaseRead) * longer,
		Memory:   float64(parts) * c.ReadMemory * longer,
		Manifest: float64(files) * entry,
	}
}

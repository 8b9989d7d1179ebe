package model

import "math"

// Constants of the library and of riverrunner that the model needs.
const (
	beatInterval  = 0.7  // seconds between two heartbeats of a part
	finishPause   = 5.0  // seconds until a finish looks while parts wait
	tickInterval  = 1.0  // seconds between two looks of a node's dispatcher
	leaderTimeout = 15.0 // seconds until the leader is replaced
	sweepsInLease = 3.0
	// dispatchTrips are the statements of a dispatch between which its lock is held.
	dispatchTrips = 5.0
	// batchBytes is what a statement reads of resources.
	batchBytes = 2 << 20
)

// Setup is a fleet, what it is set to, and the export that it makes.
type Setup struct {
	// Types are the numbers of resources of each type. A type is cut into equal parts.
	Types []int64

	// MaxFileResources and MaxFileBytes are those of the exporter's configuration.
	MaxFileResources int64
	MaxFileBytes     float64
	// Lease is in seconds; a third of it is between two sweeps.
	Lease float64
	// Clients poll the status, each PollInterval seconds after the last answer.
	Clients      int
	PollInterval float64

	// Nodes are alike and have Workers each.
	Nodes, Workers int
	NodeCores      int
	// NodeNetwork is in bytes per second; 0 is no limit. So are all others of this kind.
	NodeNetwork float64
	// NodePace is the highest number of resources per second of a node, WorkerPace of
	// a worker, as where the source is slow.
	NodePace, WorkerPace float64

	DatabaseCores int
	// DatabaseDisk is how fast the database reads what is not in memory, in bytes per
	// second.
	DatabaseDisk float64
	// StorageBandwidth is that of the store of files for all nodes; UploadBandwidth that
	// of one file. StorageSeconds is what a file takes besides.
	StorageBandwidth, UploadBandwidth, StorageSeconds float64
	// RoundTrip is how long a statement is on its way between node and database, in
	// seconds.
	RoundTrip float64
	// OneMachine has database and nodes share the cores of the database.
	OneMachine bool

	// Deaths are nodes that die. DeathsPerHour are those at random, of each node,
	// which Seed decides. A node is replaced RestartSeconds later; 0 is never.
	Deaths         []Death
	DeathsPerHour  float64
	Seed           uint64
	RestartSeconds float64

	// Visits is in how many pieces a part is read at most, so that large exports take
	// not too many steps; 0 is one for each file.
	Visits int
}

// Death is a node that dies at a time, in seconds.
type Death struct {
	At   float64
	Node int
}

// Resources returns how many there are in all.
func (s Setup) Resources() int64 {
	var sum int64
	for _, n := range s.Types {
		sum += n
	}
	return sum
}

// Parts returns the sizes of all parts, as the exporter plans them.
func (s Setup) Parts() []int64 {
	var parts []int64
	for _, total := range s.Types {
		if total == 0 {
			continue
		}
		for n := ceil(total, s.MaxFileResources); n > 0; n-- {
			size := total / n
			parts = append(parts, size)
			total -= size
		}
	}
	return parts
}

// files returns how many files a part of so many resources has.
func (s Setup) files(resources int64, c Costs) int64 {
	return max(ceil(resources, s.fileResources(c)), 1)
}

func (s Setup) fileResources(c Costs) int64 {
	size := s.MaxFileResources
	if s.MaxFileBytes > 0 {
		size = min(size, int64(math.Max(s.MaxFileBytes/c.ResourceBytes, 1)))
	}
	return size
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

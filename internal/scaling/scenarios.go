package main

import "github.com/bulkexport/bulkexport/internal/scaling/model"

// What a unit is in the base units of the model.
const (
	mega   = 1e6
	giga   = 1e9
	minute = 60.0
	hour   = 3600.0
	day    = 24 * hour
)

// Defaults of the library's bounds, and what else the tables are about.
const (
	stallTimeout   = 10 * minute
	maxDuration    = 7 * day
	riverTimeout   = hour
	storeTimeout   = 30.0
	timeToLive     = day
	beatInterval   = 0.7
	roundTrip      = 0.0005
	batchBytes     = 2 * mebibyte
	defaultPage    = 10
	clientNetwork  = 125 * mega // bytes per second of who downloads: 1 Gbit/s
	pollInterval   = 60.0       // what Retry-After comes to in a long export: 1 to 120 s
	mebibyte       = 1 << 20
	gibibyte       = 1 << 30
	defaultLines   = 500_000
	defaultBytes   = 256 * mebibyte
	defaultLease   = 15.0
	manifestOfPage = 1000
)

// What the settings of a scenario are.
const (
	defaults = "defaults"
	tuned    = "for the size"
)

// scenario is an export of a size, on a fleet that somebody would have for it.
type scenario struct {
	size     string
	settings string
	model.Setup
	page int // ManifestFiles
}

// typesOf divides resources as records do: half are observations.
func typesOf(resources int64) []int64 {
	percent := func(n int64) int64 { return resources * n / 100 }
	return []int64{percent(50), percent(15), percent(15), percent(10), percent(10)}
}

// common is what is assumed of each machine and network.
func common(resources int64) model.Setup {
	return model.Setup{
		Types: typesOf(resources), MaxFileResources: defaultLines, MaxFileBytes: defaultBytes, Lease: defaultLease,
		Clients: 1, PollInterval: pollInterval,
		NodeCores: 4, NodeNetwork: 1250 * mega, RoundTrip: roundTrip,
		UploadBandwidth: 100 * mega, StorageSeconds: 0.2, StorageBandwidth: 12.5 * giga,
		RestartSeconds: 2 * minute, Seed: 1, Visits: 1,
	}
}

// scenarios are the three sizes, with the defaults and with settings for the size.
func scenarios() []scenario {
	small := common(10 * mega)
	small.Nodes, small.Workers, small.DatabaseCores = 1, 4, 4

	medium := common(giga)
	medium.Nodes, medium.Workers = 4, 8
	medium.DatabaseCores, medium.DatabaseDisk = 16, 2*giga
	medium.DeathsPerHour = 0.01

	larger := medium
	larger.MaxFileResources, larger.MaxFileBytes, larger.Lease = mega, gibibyte, 30

	large := common(100 * giga)
	large.Nodes, large.Workers, large.NodeCores = 32, 8, 8
	large.DatabaseCores, large.DatabaseDisk = 64, 10*giga
	large.DeathsPerHour = 0.01
	sized := large
	sized.MaxFileResources, sized.MaxFileBytes, sized.Lease = 5*mega, gibibyte, 60

	return []scenario{
		{"10 million", defaults, small, defaultPage},
		{"1 billion", defaults, medium, defaultPage},
		{"1 billion", tuned, larger, manifestOfPage},
		{"100 billion", defaults, large, defaultPage},
		{"100 billion", tuned, sized, manifestOfPage},
	}
}

// growing are fleets of more and more nodes for the same export.
func growing() []model.Setup {
	var setups []model.Setup
	for _, nodes := range []int{1, 2, 4, 8, 16, 32} {
		s := scenarios()[2].Setup
		s.Nodes = nodes
		setups = append(setups, s)
	}
	return setups
}

package model_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/scaling/model"
)

// costs are round figures: 10 µs a resource on the node, 2 on the database.
func costs() model.Costs {
	return model.Costs{
		ResourceBytes: 1000, StoredBytes: 1000, NodeResource: 10e-6, DatabaseResource: 2e-6, PlanResource: 1e-7,
		NodePart: 1e-3, DatabasePart: 1e-3, PartSeconds: 5e-3, DispatchSeconds: 1e-3,
		NodeBeat: 1e-4, DatabaseBeat: 1e-4, NodeRead: 1e-6, DatabaseRead: 1e-6, RecordBytes: 500, EntryBytes: 300,
	}
}

// fleet is slow at its source, so that nothing is shared.
func fleet(nodes int) model.Setup {
	return model.Setup{
		Types:            []int64{600_000, 300_000, 100_000},
		MaxFileResources: 5_000, MaxFileBytes: 1 << 30, Lease: 15,
		Nodes: nodes, Workers: 1, NodeCores: 4, NodePace: 1_000, DatabaseCores: 16,
	}
}

func TestPartsAreThoseOfThePlan(t *testing.T) {
	t.Parallel()
	s := model.Setup{Types: []int64{10, 0, 4, 5}, MaxFileResources: 4}
	require.Equal(t, []int64{3, 3, 4, 4, 2, 3}, s.Parts())
	require.EqualValues(t, 19, s.Resources())
}

func TestWorkIsConserved(t *testing.T) {
	t.Parallel()
	s := fleet(3)
	s.MaxFileResources, s.MaxFileBytes = 20_000, 5_000_000
	r := model.Simulate(s, costs())
	require.True(t, r.Ended)
	require.Equal(t, s.Resources(), r.Written)
	require.Zero(t, r.Again)
	require.EqualValues(t, 50, r.Parts)
	require.EqualValues(t, 200, r.Files)
	require.GreaterOrEqual(t, r.NodeSeconds, float64(s.Resources())*costs().NodeResource)
}

func TestSameSetupSameResult(t *testing.T) {
	t.Parallel()
	s := fleet(4)
	s.DeathsPerHour, s.Seed, s.RestartSeconds = 20, 7, 30
	s.Clients, s.PollInterval = 3, 10
	require.Equal(t, model.Simulate(s, costs()), model.Simulate(s, costs()))
}

func TestScalingIsLinearWhereNothingIsShared(t *testing.T) {
	t.Parallel()
	one := model.Simulate(fleet(1), costs())
	require.Equal(t, model.Source, one.Bottleneck())
	require.InEpsilon(t, 1000, one.Seconds, 0.02)
	for _, nodes := range []int{2, 4, 8} {
		r := model.Simulate(fleet(nodes), costs())
		require.InEpsilon(t, one.Seconds/float64(nodes), r.Seconds, 0.05, "%d nodes", nodes)
	}
}

func TestBottleneckIsNamed(t *testing.T) {
	t.Parallel()
	const fast = 100e9
	for want, change := range map[string]func(*model.Setup){
		model.DatabaseCPU:  func(s *model.Setup) { s.DatabaseCores = 1 },
		model.DatabaseDisk: func(s *model.Setup) { s.DatabaseDisk = 10e6 },
		model.NodeCPU:      func(s *model.Setup) { s.NodeCores = 1 },
		model.NodeNetwork:  func(s *model.Setup) { s.NodeNetwork = 5e6 },
		model.Storage:      func(s *model.Setup) { s.StorageBandwidth = 10e6 },
		model.Source:       func(s *model.Setup) { s.NodePace = 1000 },
		model.Dispatcher:   func(s *model.Setup) { s.MaxFileResources = 20 },
		model.Workers:      func(s *model.Setup) { s.UploadBandwidth = 1e6 },
		model.Tail:         func(s *model.Setup) { s.MaxFileResources, s.Types = 1_000_000, []int64{1_000_000, 1000} },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := fleet(4)
			s.Workers, s.NodePace = 8, 0
			s.NodeNetwork, s.StorageBandwidth, s.DatabaseDisk = fast, fast, fast
			change(&s)
			r := model.Simulate(s, costs())
			require.Equal(t, want, r.Bottleneck(), "%+v", r)
			require.LessOrEqual(t, r.Loads[0].Share, 1.0001)
		})
	}
}

func TestPlanIsTheBottleneckOfAFastFleet(t *testing.T) {
	t.Parallel()
	s, c := fleet(8), costs()
	s.NodePace, s.Workers, s.DatabaseCores, s.NodeCores = 0, 16, 128, 32
	c.PlanResource = 5e-6
	r := model.Simulate(s, c)
	require.Equal(t, model.Plan, r.Bottleneck(), "%+v", r)
}

func TestDeathsDelayButLoseNothing(t *testing.T) {
	t.Parallel()
	calm := model.Simulate(fleet(2), costs())
	s := fleet(2)
	s.Deaths, s.RestartSeconds = []model.Death{{At: 100, Node: 1}, {At: 200, Node: 0}}, 10
	r := model.Simulate(s, costs())
	require.True(t, r.Ended)
	require.Equal(t, s.Resources(), r.Written)
	require.Positive(t, r.Again)
	require.Greater(t, r.Seconds, calm.Seconds)

	s.Deaths, s.DeathsPerHour = nil, 60
	r = model.Simulate(s, costs())
	require.True(t, r.Ended)
	require.Equal(t, s.Resources(), r.Written)
}

// TestTakeOver has the last part die at its beginning: it comes again after its lease
// and the next sweep.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s := fleet(2)
	s.Types, s.MaxFileResources = []int64{10_000}, 5_000
	calm := model.Simulate(s, costs())
	s.Deaths = []model.Death{{At: 1, Node: 1}}
	r := model.Simulate(s, costs())
	require.GreaterOrEqual(t, r.Seconds-calm.Seconds, s.Lease)
	require.LessOrEqual(t, r.Seconds-calm.Seconds, s.Lease+s.Lease/3+2)
}

func TestPlanSurvivesItsNode(t *testing.T) {
	t.Parallel()
	s, c := fleet(2), costs()
	c.PlanResource = 1e-5
	s.Deaths = []model.Death{{At: 5, Node: 0}}
	r := model.Simulate(s, c)
	require.True(t, r.Ended)
	require.Equal(t, s.Resources(), r.Written)
	require.InDelta(t, 5+s.Lease*4/3+10, r.Planned, 1)
}

// TestNobodyIsLeft has no node that could go on.
func TestNobodyIsLeft(t *testing.T) {
	t.Parallel()
	s := fleet(1)
	s.Deaths = []model.Death{{At: 100, Node: 0}}
	r := model.Simulate(s, costs())
	require.False(t, r.Ended)
	require.Less(t, r.Written, s.Resources())
}

// TestLooksAtAllPartsGrowWithTheirSquare: each of more looks reads more.
func TestLooksAtAllPartsGrowWithTheirSquare(t *testing.T) {
	t.Parallel()
	few := fleet(4)
	many := few
	many.Types = []int64{10 * 600_000, 10 * 300_000, 10 * 100_000}
	reads := func(s model.Setup) float64 { return model.Simulate(s, costs()).PartReads }
	require.InEpsilon(t, 100, reads(many)/reads(few), 0.25)
}

func TestAnEmptyExportEnds(t *testing.T) {
	t.Parallel()
	s := fleet(1)
	s.Types = nil
	r := model.Simulate(s, costs())
	require.True(t, r.Ended)
	require.Zero(t, r.Files)
}

func TestMeasuredCostsAreThere(t *testing.T) {
	t.Parallel()
	c, err := model.Measured()
	require.NoError(t, err)
	require.Positive(t, c.NodeResource)
	require.Positive(t, c.WorkerMemory)
}

func TestStretchedIsWhatIsComputed(t *testing.T) {
	t.Parallel()
	c := costs().Stretched(3)
	require.InDelta(t, 30e-6, c.NodeResource, 1e-12)
	require.InDelta(t, 3e-3, c.DispatchSeconds, 1e-12)
	require.InDelta(t, 1000, c.ResourceBytes, 0)
	require.InDelta(t, 5e-3, c.PartSeconds, 0)
}

func TestDigits(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 1230, model.Digits(1234, 3), 1e-9)
	require.InDelta(t, 0.00123, model.Digits(0.0012345, 3), 1e-12)
	require.Zero(t, model.Digits(0, 2))
}

package sourcetest

import (
	"slices"
)

// fault is one promise broken.
type fault struct {
	name string
	// caughtBy are the cases that must fail.
	caughtBy []string
	spoil    func(*faulty, *DataSet)
}

func allFaults() []fault {
	return slices.Concat(
		typeFaults(), populationFaults(), contentFaults(), orderFaults(), keyFaults(), rangeFaults(),
		tenantFaults(), compartmentFaults(), timeFaults(), stateFaults(), clockFaults(),
		groupFaults(), checkFaults(), patientFaults(), unknownFaults(), tombstoneFaults(), lookupFaults(),
		provenanceFaults(), latestFaults(), blockFaults(),
		contextFaults(), releaseFaults(), sharingFaults(), secondSourceFaults(),
	)
}

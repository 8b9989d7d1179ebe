package search_test
import ("testing";"encoding/json";"github.com/bulkexport/bulkexport/fhir";"github.com/bulkexport/bulkexport/fhir/search")
func TestSeeds(t *testing.T){
	o := newOracle(t); j,n:=0,0
	for seed := uint64(100); seed<140; seed++ { m:=newMaker(o,seed)
	for _, rt := range fhir.ResourceTypes() {
		var samples []sample
		for range 6 { raw, _ := json.Marshal(m.resource(rt)); samples = append(samples, newSample(t, raw)) }
		a,b := agree(t, o, m, samples, len(search.Parameters(rt))); j+=a;n+=b
	} }
	t.Log(j,n)
}

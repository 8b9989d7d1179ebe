package bulkexport

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/samber/lo"
)

// Guide is a version of the implementation guide Bulk Data Access, as far as it
// decides about names on the wire.
type Guide string

const (
	// STU3 is Bulk Data Access 3.0.0, with STU1 and STU2 as its subsets. It is the
	// zero value.
	STU3 Guide = ""
	// STU4Ballot is the ballot of 4.0.0. It is experimental: its form changes with
	// the ballot, without notice.
	STU4Ballot Guide = "4.0.0-ballot"
)

// transactionTimeLayout has exactly the milliseconds that reads are bounded by.
const transactionTimeLayout = "2006-01-02T15:04:05.000Z07:00"

// What manifests say beyond the guide stands under these names.
const (
	extensionBase        = "https://github.com/bulkexport/bulkexport/manifest/"
	extensionSHA256      = extensionBase + "sha256"
	extensionSize        = extensionBase + "size"
	extensionSeverities  = extensionBase + "severities"
	extensionConsistency = extensionBase + "consistency"
	extensionEmptyTypes  = extensionBase + "empty-types"
	extensionDropped     = extensionBase + "dropped"
)

// MarshalJSON implements json.Marshaler: required members are always there, and
// lists are never null.
func (m Manifest) MarshalJSON() ([]byte, error) {
	var wire any = m.stu3()
	if m.Guide == STU4Ballot {
		wire = m.stu4()
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // a URL keeps its & readable
	err := encoder.Encode(wire)
	return text.Bytes(), err
}

type link struct {
	Relation string `json:"relation"`
	URL      string `json:"url"`
}

func (m Manifest) links() []link {
	if m.Next == "" {
		return nil
	}
	return []link{{"next", m.Next}}
}

// manifest3 is the form of STU3.
type manifest3 struct {
	TransactionTime     string         `json:"transactionTime"`
	Request             string         `json:"request"`
	RequiresAccessToken bool           `json:"requiresAccessToken"`
	OutputOrganizedBy   string         `json:"outputOrganizedBy,omitempty"`
	Output              []file3        `json:"output"`
	Deleted             []file3        `json:"deleted,omitempty"`
	Error               []file3        `json:"error"`
	Link                []link         `json:"link,omitempty"`
	Extension           map[string]any `json:"extension,omitempty"`
}

type file3 struct {
	Type            string         `json:"type,omitempty"`
	URL             string         `json:"url"`
	Count           int64          `json:"count"`
	ContinuesInFile string         `json:"continuesInFile,omitempty"`
	Extension       map[string]any `json:"extension,omitempty"`
}

func (m Manifest) stu3() manifest3 {
	files := func(list []ManifestFile) []file3 {
		return lo.Map(list, func(f ManifestFile, _ int) file3 {
			return file3{f.Type, f.URL, f.Count, f.ContinuesInFile, f.extension()}
		})
	}
	return manifest3{
		TransactionTime:     m.TransactionTime.UTC().Format(transactionTimeLayout),
		Request:             m.Request,
		RequiresAccessToken: m.RequiresAccessToken,
		OutputOrganizedBy:   m.OutputOrganizedBy,
		Output:              files(m.Output),
		Deleted:             files(m.Deleted),
		Error:               files(m.Error),
		Link:                m.links(),
		Extension:           m.Extension.members(),
	}
}

func (f ManifestFile) extension() map[string]any {
	members := map[string]any{}
	if f.SHA256 != "" {
		members[extensionSHA256] = f.SHA256
		members[extensionSize] = f.Size
	}
	if len(f.Severities) > 0 {
		members[extensionSeverities] = f.Severities
	}
	return members
}

func (e ManifestExtension) members() map[string]any {
	members := map[string]any{}
	if e.Consistency != "" {
		members[extensionConsistency] = e.Consistency
	}
	if len(e.EmptyTypes) > 0 {
		members[extensionEmptyTypes] = e.EmptyTypes
	}
	if e.Dropped > 0 {
		members[extensionDropped] = e.Dropped
	}
	return members
}

// manifest4 is the form of the STU4 ballot: no request, outcome in the place of
// error, and empty lists left out.
type manifest4 struct {
	ManifestType        string          `json:"manifestType"`
	TransactionTime     string          `json:"transactionTime"`
	RequiresAccessToken bool            `json:"requiresAccessToken"`
	OutputFormat        string          `json:"outputFormat"`
	OutputOrganizedBy   string          `json:"outputOrganizedBy,omitempty"`
	Output              []file4         `json:"output,omitempty"`
	Deleted             []file4         `json:"deleted,omitempty"`
	Outcome             []file4         `json:"outcome,omitempty"`
	Link                []link          `json:"link,omitempty"`
	Extension           []fhirExtension `json:"extension,omitempty"`
}

type file4 struct {
	Type            string          `json:"type,omitempty"`
	URL             string          `json:"url"`
	Count           int64           `json:"count"`
	FileSize        int64           `json:"fileSize,omitempty"`
	CountSeverity   []countSeverity `json:"countSeverity,omitempty"`
	ContinuesInFile string          `json:"continuesInFile,omitempty"`
	Extension       []fhirExtension `json:"extension,omitempty"`
}

type countSeverity struct {
	Code  string `json:"code"`
	Count int64  `json:"count"`
}

type fhirExtension struct {
	URL          string `json:"url"`
	ValueString  string `json:"valueString,omitempty"`
	ValueCode    string `json:"valueCode,omitempty"`
	ValueDecimal int64  `json:"valueDecimal,omitempty"`
}

func (m Manifest) stu4() manifest4 {
	files := func(list []ManifestFile, typed bool) []file4 {
		return lo.Map(list, func(f ManifestFile, _ int) file4 { return f.stu4(typed) })
	}
	return manifest4{
		ManifestType:        "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest",
		TransactionTime:     m.TransactionTime.UTC().Format(transactionTimeLayout),
		RequiresAccessToken: m.RequiresAccessToken,
		OutputFormat:        "application/fhir+ndjson",
		OutputOrganizedBy:   m.OutputOrganizedBy,
		Output:              files(m.Output, true),
		Deleted:             files(m.Deleted, false),
		Outcome:             files(m.Error, false),
		Link:                m.links(),
		Extension:           m.Extension.stu4(),
	}
}

func (f ManifestFile) stu4(typed bool) file4 {
	entry := file4{URL: f.URL, Count: f.Count, FileSize: f.Size, ContinuesInFile: f.ContinuesInFile}
	if typed {
		entry.Type = f.Type
	}
	for _, severity := range slices.Sorted(maps.Keys(f.Severities)) {
		entry.CountSeverity = append(entry.CountSeverity, countSeverity{severity, f.Severities[severity]})
	}
	if f.SHA256 != "" {
		entry.Extension = []fhirExtension{{URL: extensionSHA256, ValueString: f.SHA256}}
	}
	return entry
}

func (e ManifestExtension) stu4() []fhirExtension {
	var list []fhirExtension
	if e.Consistency != "" {
		list = append(list, fhirExtension{URL: extensionConsistency, ValueCode: string(e.Consistency)})
	}
	for _, name := range e.EmptyTypes {
		list = append(list, fhirExtension{URL: extensionEmptyTypes, ValueCode: name})
	}
	if e.Dropped > 0 {
		list = append(list, fhirExtension{URL: extensionDropped, ValueDecimal: e.Dropped})
	}
	return list
}

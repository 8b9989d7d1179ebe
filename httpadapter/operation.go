package httpadapter

import (
	"strings"

	"github.com/bulkexport/bulkexport"
)

// definition is an OperationDefinition.
type definition struct {
	ResourceType string      `json:"resourceType"`
	ID           string      `json:"id"`
	URL          string      `json:"url"`
	Name         string      `json:"name"`
	Status       string      `json:"status"`
	Kind         string      `json:"kind"`
	Code         string      `json:"code"`
	Base         string      `json:"base"`
	Resource     []string    `json:"resource,omitempty"`
	System       bool        `json:"system"`
	Type         bool        `json:"type"`
	Instance     bool        `json:"instance"`
	Parameter    []parameter `json:"parameter"`
}

type parameter struct {
	Name          string   `json:"name"`
	Use           string   `json:"use"`
	Min           int      `json:"min"`
	Max           string   `json:"max"`
	Documentation string   `json:"documentation,omitempty"`
	Type          string   `json:"type"`
	TargetProfile []string `json:"targetProfile,omitempty"`
}

func operationDefinition(can bulkexport.Capabilities, level bulkexport.Level, fhirBase string) definition {
	id := definitionID(level)
	d := definition{
		ResourceType: "OperationDefinition", ID: id, URL: fhirBase + "/OperationDefinition/" + id,
		Name: "BulkExport" + strings.ToUpper(string(level[:1])) + string(level[1:]), Status: "active",
		Kind: "operation", Code: "export", Base: definitionURL + id,
		System: level == bulkexport.LevelSystem, Type: level == bulkexport.LevelPatient,
		Instance: level == bulkexport.LevelGroup,
	}
	if owner := ownerOf(level); owner != "" {
		d.Resource = []string{owner}
	}
	for _, name := range can.Parameters {
		if name == "patient" && level == bulkexport.LevelSystem {
			continue
		}
		p := parameterOf(name)
		p.Documentation = documentation(can, name)
		d.Parameter = append(d.Parameter, p)
	}
	return d
}

// parameterOf returns a parameter as Bulk Data Access defines it.
func parameterOf(name string) parameter {
	p := parameter{Name: name, Use: "in", Max: "1", Type: "string"}
	switch name {
	case "_since", "_until":
		p.Type = "instant"
	case "allowPartialManifests":
		p.Type = "boolean"
	case "includeAssociatedData":
		p.Type, p.Max = "code", "*"
	case "patient":
		p.Type, p.Max = "Reference", "*"
		p.TargetProfile = []string{"http://hl7.org/fhir/StructureDefinition/Patient"}
	case "_type", "_elements", "_typeFilter":
		p.Max = "*"
	}
	return p
}

// documentation says what a parameter takes here.
func documentation(can bulkexport.Capabilities, name string) string {
	switch name {
	case "_outputFormat":
		return "application/fhir+ndjson, application/ndjson or ndjson, which are the same."
	case "includeAssociatedData":
		return strings.Join(can.Associated, ", ")
	case "organizeOutputBy":
		return strings.Join(can.OrganizeBy, ", ")
	case "patient":
		return "With POST only."
	case "_since":
		if can.Deletions {
			return "With it, resources deleted since are listed in deleted files."
		}
	}
	return ""
}

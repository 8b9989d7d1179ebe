package bulkexport

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Lines that the engine itself writes, without their line feeds.

type issue struct {
	Severity    string `json:"severity"`
	Code        string `json:"code"`
	Diagnostics string `json:"diagnostics"`
	// Expression names the parameter that the issue is about.
	Expression []string `json:"expression,omitempty"`
}

// The severities of issues.
const (
	severityError       = "error"
	severityWarning     = "warning"
	severityInformation = "information"
)

// outcomeLine is an OperationOutcome in an error file.
func outcomeLine(i issue) []byte {
	return marshalLine(struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{outcomeType, []issue{i}})
}

// faultIssue is about a resource that could not be exported.
func faultIssue(fault *ResourceError) issue {
	name := fault.Type
	if fault.ID != "" {
		name += "/" + fault.ID
	}
	return issue{Severity: severityError, Code: "exception",
		Diagnostics: name + " could not be exported: " + fault.Reason}
}

// noticesOf returns what a client is told about its request besides the data.
func noticesOf(req ExportRequest) []issue {
	var notices []issue
	for _, ignored := range req.Ignored {
		notice := issue{Severity: severityWarning, Code: ignored.Code}
		notice.Diagnostics = fmt.Sprintf("Parameter %s was ignored: %s.", plain(ignored.Parameter), ignored.Reason)
		if plain(ignored.Parameter) == ignored.Parameter {
			notice.Expression = []string{ignored.Parameter}
		}
		notices = append(notices, notice)
	}
	if req.OrganizeBy != "" {
		notices = append(notices, issue{Severity: severityInformation, Code: "informational",
			Diagnostics: "Resources that belong to no " + req.OrganizeBy + ", and Groups, are left out."})
	}
	return notices
}

// plain returns a parameter's name as it is, or quoted where it is none that a
// client would look for.
func plain(name string) string {
	if quoted := quote(name); name == "" || quoted != `"`+name+`"` {
		return quoted
	}
	return name
}

// headerLine begins a block (Bulk Data Access, "Bulk Data Output File
// Organization").
func headerLine(resourceType, id string) []byte {
	type reference struct {
		Reference string `json:"reference"`
	}
	type parameter struct {
		Name  string    `json:"name"`
		Value reference `json:"valueReference"`
	}
	return marshalLine(struct {
		ResourceType string      `json:"resourceType"`
		Parameter    []parameter `json:"parameter"`
	}{"Parameters", []parameter{{"header", reference{resourceType + "/" + id}}}})
}

type deletionRequest struct {
	Method string `json:"method"`
	URL    string `json:"url"`
}

type deletionEntry struct {
	Request deletionRequest `json:"request"`
}

// deletionLine is a transaction that deletes resources (Bulk Data Access,
// "Response - Complete Status", deleted).
func deletionLine(entries []deletionEntry) []byte {
	return marshalLine(struct {
		ResourceType string          `json:"resourceType"`
		Type         string          `json:"type"`
		Entry        []deletionEntry `json:"entry"`
	}{bundleType, "transaction", entries})
}

func marshalLine(v any) []byte {
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	// Strings can always be encoded, and the buffer does not fail.
	_ = encoder.Encode(v)
	return bytes.TrimSuffix(line.Bytes(), []byte("\n"))
}

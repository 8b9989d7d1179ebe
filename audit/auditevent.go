package audit

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// AuditEvent returns the event as a FHIR R4 AuditEvent, without id and in one line of
// JSON, for the host's own repository or for one that collects them. The observer, which
// is required, says who has seen it: for example "Device/fhir-server" or a name.
//
// The type is Export of DICOM, and Security Alert for a refusal. The client is the
// requesting agent, its tenant the altId; the export, the Group and the file are
// entities. [Event].At is in recorded.
func (e Event) AuditEvent(observer string) []byte {
	resource := auditEvent{
		ResourceType: "AuditEvent",
		Type:         coding{"http://dicom.nema.org/resources/ontology/DCM", "110106", "Export"},
		Subtype:      []coding{{"http://hl7.org/fhir/restful-interaction", "operation", "operation"}},
		Action:       e.action(),
		Recorded:     e.At.UTC().Format("2006-01-02T15:04:05.000Z"),
		Outcome:      e.outcome(),
		OutcomeDesc:  e.Reason,
		Agent:        []agent{e.agent()},
		Source:       source{Observer: referenceTo(observer)},
	}
	if e.Kind == Refused {
		resource.Type = coding{"http://dicom.nema.org/resources/ontology/DCM", "110113", "Security Alert"}
	}
	if e.JobID != "" || e.File == "" && e.Group == "" {
		resource.Entity = append(resource.Entity, e.exportEntity())
	}
	if e.Group != "" {
		group := referenceTo("Group/" + e.Group)
		resource.Entity = append(resource.Entity, entity{What: &group})
	}
	if e.File != "" {
		resource.Entity = append(resource.Entity, entity{Name: e.File, Detail: e.fileDetails()})
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(resource) // which has nothing that could fail
	return bytes.TrimSuffix(text.Bytes(), []byte("\n"))
}

// action is one of the codes of AuditEvent.action.
func (e Event) action() string {
	switch e.Kind {
	case Download:
		return "R"
	case Deleted:
		return "D"
	default:
		return "E"
	}
}

// outcome is one of the codes of AuditEvent.outcome: a refusal is a minor failure, an
// export that failed a serious one.
func (e Event) outcome() string {
	switch e.Kind {
	case Refused:
		return "4"
	case Failed:
		return "8"
	default:
		return "0"
	}
}

func (e Event) agent() agent {
	a := agent{AltID: e.Caller.Tenant, Requestor: true}
	if e.Caller.Client != "" {
		a.Who = &reference{Identifier: &identifier{Value: e.Caller.Client}}
		a.Name = e.Caller.Client
	}
	if e.Remote != "" {
		a.Network = &network{Address: e.Remote}
		if _, err := netip.ParseAddr(e.Remote); err == nil {
			a.Network.Type = "2" // an IP address
		}
	}
	return a
}

// exportEntity is what was exported, or asked for.
func (e Event) exportEntity() entity {
	found := entity{Name: "export"}
	if e.JobID != "" {
		found.What = &reference{Identifier: &identifier{Value: e.JobID}}
	}
	found.add("event", string(e.Kind))
	found.add("operation", string(e.Operation))
	if e.Status != 0 {
		found.add("status", strconv.Itoa(e.Status))
	}
	found.add("level", string(e.Level))
	found.add("types", strings.Join(e.Types, ","))
	if e.Patients > 0 {
		found.add("patients", strconv.Itoa(e.Patients))
	}
	if !e.Since.IsZero() {
		found.add("since", e.Since.UTC().Format(time.RFC3339Nano))
	}
	if e.Kind == Completed || e.Kind == Deleted {
		found.add("resources", strconv.FormatInt(e.Resources, 10))
		found.add("bytes", strconv.FormatInt(e.Bytes, 10))
	}
	return found
}

func (e Event) fileDetails() []detail {
	if e.Kind != Download {
		return nil
	}
	var file entity
	file.add("resources", strconv.FormatInt(e.Resources, 10))
	file.add("bytes", strconv.FormatInt(e.Bytes, 10))
	file.add("whole", strconv.FormatBool(e.Whole))
	file.add("signed", strconv.FormatBool(e.Signed))
	return file.Detail
}

// referenceTo takes "Type/id" for a reference, and anything else for a name.
func referenceTo(text string) reference {
	if strings.Contains(text, "/") {
		return reference{Reference: text}
	}
	return reference{Display: text}
}

// What follows are those elements of AuditEvent that are used here.
type auditEvent struct {
	ResourceType string   `json:"resourceType"`
	Type         coding   `json:"type"`
	Subtype      []coding `json:"subtype"`
	Action       string   `json:"action"`
	Recorded     string   `json:"recorded"`
	Outcome      string   `json:"outcome"`
	OutcomeDesc  string   `json:"outcomeDesc,omitempty"`
	Agent        []agent  `json:"agent"`
	Source       source   `json:"source"`
	Entity       []entity `json:"entity,omitempty"`
}

type coding struct {
	System  string `json:"system"`
	Code    string `json:"code"`
	Display string `json:"display"`
}

type agent struct {
	Who       *reference `json:"who,omitempty"`
	AltID     string     `json:"altId,omitempty"`
	Name      string     `json:"name,omitempty"`
	Requestor bool       `json:"requestor"`
	Network   *network   `json:"network,omitempty"`
}

type network struct {
	Address string `json:"address"`
	Type    string `json:"type,omitempty"`
}

type source struct {
	Observer reference `json:"observer"`
}

type entity struct {
	What   *reference `json:"what,omitempty"`
	Name   string     `json:"name,omitempty"`
	Detail []detail   `json:"detail,omitempty"`
}

func (e *entity) add(name, value string) {
	if value != "" {
		e.Detail = append(e.Detail, detail{Type: name, Value: value})
	}
}

type detail struct {
	Type  string `json:"type"`
	Value string `json:"valueString"`
}

type reference struct {
	Reference  string      `json:"reference,omitempty"`
	Identifier *identifier `json:"identifier,omitempty"`
	Display    string      `json:"display,omitempty"`
}

type identifier struct {
	Value string `json:"value"`
}

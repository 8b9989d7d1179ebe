package synthetic

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"regexp"
)

// One file for each kind of record. "${name}" inside a string stands for a
// value; a string "#{name}" as a whole stands for a number or a list.
//
//go:embed templates/*.json
var templateFiles embed.FS

var placeholder = regexp.MustCompile(`"#\{(\w+)\}"|\$\{(\w+)\}`)

// template is a record with gaps: text, the name of a value, text, …, text.
type template struct {
	texts [][]byte
	names []string
}

// loadTemplate panics when a file of this package is missing or broken: there
// is no input that could cause it.
func loadTemplate(name string) template {
	file, err := templateFiles.ReadFile("templates/" + name + ".json")
	if err != nil {
		panic(err)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, file); err != nil {
		panic(fmt.Sprintf("template %s: %v", name, err))
	}
	return parseTemplate(text.Bytes())
}

func parseTemplate(text []byte) template {
	var t template
	end := 0
	for _, gap := range placeholder.FindAllSubmatchIndex(text, -1) {
		name := gap[2:4]
		if name[0] < 0 {
			name = gap[4:6]
		}
		t.texts = append(t.texts, text[end:gap[0]])
		t.names = append(t.names, string(text[name[0]:name[1]]))
		end = gap[1]
	}
	t.texts = append(t.texts, text[end:])
	return t
}

// appendTo appends the record, its gaps filled with values, which must be JSON
// as they are.
func (t template) appendTo(b []byte, values map[string]string) []byte {
	for i, name := range t.names {
		b = append(b, t.texts[i]...)
		b = append(b, values[name]...)
	}
	return append(b, t.texts[len(t.names)]...)
}

package sourcetest

import (
	"bytes"
	"context"
	"strings"
)

func bytesCases() []testCase {
	return []testCase{
		{Bytes, "as they were put", nil, bytesUntouched},
		{Large, "five megabytes", nil, largeResource},
	}
}

// awkward are members that a detour over decoded values would change.
func awkward() map[string]string {
	return map[string]string{
		"trailing-zero": `"valueDecimal":1.20`,
		"zeros":         `"valueDecimal":0.000000000000000000100`,
		"exponent":      `"valueDecimal":1e400`,
		"big-exponent":  `"valueDecimal":-1.5E+0012`,
		"digits":        `"valueDecimal":12345678901234567890123.4567890123456789`,
		"minus-zero":    `"valueDecimal":-0.0`,
		"escapes":       `"div":"\u0041\/\b\f\n\r\t\"\\ \ud83d\ude00 \u2028 <>&"`,
		"unicode":       "\"div\":\"\u00e4 a\u0301 \U0001f9ea \u65e5\u672c \u2028 \ufeff \u200d\"",
		"quotes":        `"div":"it's; -- /* */ $1 ? :x %s {} [] \\ ''"`,
		"order":         `"z":1,"a":2,"meta":{"versionId":"1"},"A":3`,
		"spaces":        "\t\"a\" :  [ 1 ,2,{ } , [ ] ]\t,  \"b\":null ",
		"line-breaks":   "\n  \"a\": {\r\n    \"b\": true\n  }\n",
		"empty":         `"a":"","b":{},"c":[],"d":null`,
		"deep":          `"a":` + strings.Repeat(`{"a":[`, 50) + `0` + strings.Repeat(`]}`, 50),
	}
}

func bytesUntouched(t tester, h *host) {
	want := make(map[string][]byte)
	for id, members := range awkward() {
		doc := []byte(`{"id":"` + id + `",` + members + `,"resourceType":"Observation"}`)
		want["Observation/"+id] = doc
		h.putRaw(t, doc)
	}
	all := h.read(t, h.query("Observation"))
	for _, it := range all {
		if name := identity(it); !bytes.Equal(it.json, want[name]) {
			t.Errorf("Resources: what was put is yielded byte for byte: %s:\n got %q\nwant %q",
				name, it.json, want[name])
		}
	}
	if len(all) != len(want) {
		t.Errorf("Resources: each is yielded: got %d, want %d", len(all), len(want))
	}
}

func largeResource(t tester, h *host) {
	const size = 5 << 20
	all := series("Observation", 3)
	all[1].members = `,"text":{"div":"` + strings.Repeat(`0123456789 \"äö\" `, size/20) + `"}`
	want := h.put(t, all...)
	got := h.read(t, h.query("Observation"))
	wantLabels(t, "a large resource and its neighbours are yielded", got, want)
	for _, it := range got {
		if it.label == want[1] && len(it.json) < size {
			t.Errorf("Resources: a large resource is yielded whole: got %d bytes", len(it.json))
		}
	}
}

// putRaw puts a document that carries no revision.
func (h *host) putRaw(t tester, doc []byte) {
	t.Helper()
	h.within(t, "DataSet.Put: a resource is stored", func(ctx context.Context) error {
		_, err := h.Put(ctx, h.tenant, doc)
		return err
	})
}

// identity is type and id.
func identity(it item) string {
	name, _, _ := strings.Cut(it.label, "#")
	return name
}

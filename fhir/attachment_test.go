package fhir_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

// mark makes a rewrite visible.
func mark(attachment []byte) ([]byte, error) {
	return fmt.Appendf(nil, `{"was":%s}`, attachment), nil
}

func TestRewriteAttachments(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ resource, want string }{
		"DocumentReference.content.attachment": {
			`{"resourceType":"DocumentReference","content":[{"attachment":{"url":"Binary/1"},"format":{}},` +
				` {"attachment" : { "size":1.0 } }],"status":"current"}`,
			`{"resourceType":"DocumentReference","content":[{"attachment":{"was":{"url":"Binary/1"}},"format":{}},` +
				` {"attachment" : {"was":{ "size":1.0 }} }],"status":"current"}`,
		},
		"DiagnosticReport.presentedForm": {
			`{"resourceType":"DiagnosticReport","presentedForm":[{"url":"a"},{"url":"b"}]}`,
			`{"resourceType":"DiagnosticReport","presentedForm":[{"was":{"url":"a"}},{"was":{"url":"b"}}]}`,
		},
		"Patient.photo": {
			`{"photo":[{}],"resourceType":"Patient","contact":[{"name":{"text":"photo"}}]}`,
			`{"photo":[{"was":{}}],"resourceType":"Patient","contact":[{"name":{"text":"photo"}}]}`,
		},
		"Media.content": {
			`{"resourceType":"Media","content":{"url":"Binary/1"},"note":[]}`,
			`{"resourceType":"Media","content":{"was":{"url":"Binary/1"}},"note":[]}`,
		},
		"Communication.payload.content[x]": {
			`{"resourceType":"Communication","payload":[{"contentString":"{\"contentAttachment\":{}}"},` +
				`{"contentAttachment":{"url":"x"}}]}`,
			`{"resourceType":"Communication","payload":[{"contentString":"{\"contentAttachment\":{}}"},` +
				`{"contentAttachment":{"was":{"url":"x"}}}]}`,
		},
		"answers at every depth": {
			`{"resourceType":"QuestionnaireResponse","item":[{"item":[{"answer":[{"valueAttachment":{},"item":[` +
				`{"answer":[{"valueAttachment":{}}]}]}]}]}]}`,
			`{"resourceType":"QuestionnaireResponse","item":[{"item":[{"answer":[{"valueAttachment":{"was":{}},"item":[` +
				`{"answer":[{"valueAttachment":{"was":{}}}]}]}]}]}]}`,
		},
		"the document of a RelatedArtifact": {
			`{"resourceType":"PlanDefinition","relatedArtifact":[{"document":{}}],"action":[{"action":[` +
				`{"documentation":[{"document":{}}]}]}]}`,
			`{"resourceType":"PlanDefinition","relatedArtifact":[{"document":{"was":{}}}],"action":[{"action":[` +
				`{"documentation":[{"document":{"was":{}}}]}]}]}`,
		},
		"extensions, also of primitives": {
			`{"resourceType":"Basic","extension":[{"url":"u","valueAttachment":{}}],` +
				`"_created":{"extension":[{"extension":[{"valueAttachment":{}}]}]}}`,
			`{"resourceType":"Basic","extension":[{"url":"u","valueAttachment":{"was":{}}}],` +
				`"_created":{"extension":[{"extension":[{"valueAttachment":{"was":{}}}]}]}}`,
		},
		"contained resources go by their own type": {
			`{"resourceType":"DiagnosticReport","contained":[{"content":{},"presentedForm":[{}],"resourceType":"Media"},` +
				`{"resourceType":"Observation","content":{}},{"valueAttachment":{}}]}`,
			`{"resourceType":"DiagnosticReport","contained":[{"content":{"was":{}},"presentedForm":[{}],` +
				`"resourceType":"Media"},` +
				`{"resourceType":"Observation","content":{}},{"valueAttachment":{"was":{}}}]}`,
		},
		"nothing inside an Attachment": {
			`{"resourceType":"Patient","photo":[{"extension":[{"valueAttachment":{}}]}]}`,
			`{"resourceType":"Patient","photo":[{"was":{"extension":[{"valueAttachment":{}}]}}]}`,
		},
		"names of other types mean nothing": {
			`{"resourceType":"Observation","photo":[{}],"content":{},"attachment":{},"valueString":"Attachment"}`,
			`{"resourceType":"Observation","photo":[{}],"content":{},"attachment":{},"valueString":"Attachment"}`,
		},
		"a type that FHIR lacks": {
			`{"resourceType":"Custom","photo":[{}],"bodyAttachment":{}}`,
			`{"resourceType":"Custom","photo":[{}],"bodyAttachment":{"was":{}}}`,
		},
		"only choices in the entries of a Bundle": {
			`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","photo":[{}],` +
				`"extension":[{"valueAttachment":{}}]}}]}`,
			`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","photo":[{}],` +
				`"extension":[{"valueAttachment":{"was":{}}}]}}]}`,
		},
		"values that are no objects": {
			`{"resourceType":"Patient","photo":[null,"x",[{}],{}],"extension":[{"valueAttachment":"y"}]}`,
			`{"resourceType":"Patient","photo":[null,"x",[{}],{"was":{}}],"extension":[{"valueAttachment":"y"}]}`,
		},
		"escapes in names, white space": {
			" {\"resourceType\" : \"Patient\" ,\n\"ph\\u006fto\" : [ {} ] ,\"a\":{\"value\\u0041ttachment\" : {\t}} }\n",
			" {\"resourceType\" : \"Patient\" ,\n\"ph\\u006fto\" : [ {\"was\":{}} ] ," +
				"\"a\":{\"value\\u0041ttachment\" : {\"was\":{\t}}} }\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fhir.R4.RewriteAttachments([]byte("before"), []byte(tt.resource), mark)
			require.NoError(t, err)
			require.Equal(t, "before"+tt.want, string(got))
		})
	}
}

func TestRewriteAttachmentsByVersion(t *testing.T) {
	t.Parallel()
	media := []byte(`{"resourceType":"Media","content":{}}`)
	got, err := fhir.R5.RewriteAttachments(nil, media, mark)
	require.NoError(t, err)
	require.Equal(t, string(media), string(got), "R5 has no Media")
	got, err = fhir.R5.RewriteAttachments(nil,
		[]byte(`{"resourceType":"MolecularSequence","formatted":[{}]}`), mark)
	require.NoError(t, err)
	require.Equal(t, `{"resourceType":"MolecularSequence","formatted":[{"was":{}}]}`, string(got))
}

func TestRewriteAttachmentsLeavesWhatIsGivenBack(t *testing.T) {
	t.Parallel()
	resource := `{"resourceType":"Patient","photo":[ {"url":"a"} , {"url":"b"} ]}`
	for name, rewrite := range map[string]func([]byte) ([]byte, error){
		"the same bytes": func(a []byte) ([]byte, error) { return a, nil },
		"nothing":        func([]byte) ([]byte, error) { return nil, nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fhir.R4.RewriteAttachments(nil, []byte(resource), rewrite)
			require.NoError(t, err)
			require.Equal(t, resource, string(got))
		})
	}
}

func TestRewriteAttachmentsReusedBuffer(t *testing.T) {
	t.Parallel()
	var buf []byte
	got, err := fhir.R4.RewriteAttachments(nil,
		[]byte(`{"resourceType":"Patient","photo":[{"url":"a"},{"url":"b"}]}`),
		func(attachment []byte) ([]byte, error) {
			buf = append(buf[:0], bytes.ToUpper(attachment)...)
			_ = append(attachment, "overwritten"...) // must not reach the resource
			return buf, nil
		})
	require.NoError(t, err)
	require.Equal(t, `{"resourceType":"Patient","photo":[{"URL":"A"},{"URL":"B"}]}`, string(got))
}

func TestRewriteAttachmentsErrors(t *testing.T) {
	t.Parallel()
	errHost, calls := errors.New("no such document"), 0
	got, err := fhir.R4.RewriteAttachments([]byte("before"),
		[]byte(`{"resourceType":"Patient","photo":[{},{},{}],"extension":[{"valueAttachment":{}}]}`),
		func([]byte) ([]byte, error) {
			if calls++; calls == 2 {
				return nil, errHost
			}
			return []byte(`{}`), nil
		})
	require.ErrorIs(t, err, errHost)
	require.Equal(t, "before", string(got))
	require.Equal(t, 2, calls)

	more := map[string]string{
		"cut in an Attachment":  `{"resourceType":"Patient","photo":[{"url":"`,
		"cut after Attachments": `{"resourceType":"Patient","photo":[{"url":"a"}`,
		"cut in a deep value":   `{"resourceType":"Patient","contact":[{"name":{"text":"x"`,
		"cut in contained":      `{"resourceType":"Patient","contained":[{"photo":[`,
		"cut after a name":      `{"resourceType":"Patient","contact":[{"photo":`,
		"deep":                  `{"resourceType":"Patient","contact":` + strings.Repeat(`[`, 1_000_000),
	}
	for _, set := range []map[string]string{malformed, more} {
		for name, resource := range set {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				got, err := fhir.R4.RewriteAttachments([]byte("before"), []byte(resource), mark)
				require.ErrorIs(t, err, fhir.ErrMalformed)
				require.Equal(t, "before", string(got))
			})
		}
	}
}

func FuzzRewriteAttachments(f *testing.F) {
	for _, resource := range malformed {
		f.Add([]byte(resource))
	}
	f.Add([]byte(observation))
	f.Add([]byte(`{"resourceType":"Media","content":{"a":[{}]},"contained":[{"valueAttachment":{}}],"x":[1,"y"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		calls := 0
		got, err := fhir.R4.RewriteAttachments(nil, data, func(a []byte) ([]byte, error) {
			calls++
			if json.Valid(data) {
				require.True(t, json.Valid(a), "%s", a)
			}
			return mark(a)
		})
		if err != nil {
			require.ErrorIs(t, err, fhir.ErrMalformed)
			return
		}
		require.Len(t, got, len(data)+calls*len(`{"was":}`))
		if json.Valid(data) {
			require.True(t, json.Valid(got), "%s", got)
		}
	})
}

func BenchmarkRewriteAttachments(b *testing.B) {
	resource := []byte(observation)
	b.SetBytes(int64(len(resource)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		var err error
		if dst, err = fhir.R4.RewriteAttachments(dst[:0], resource, mark); err != nil {
			b.Fatal(err)
		}
	}
}

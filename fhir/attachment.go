package fhir

import (
	"bytes"
	"fmt"
)

// RewriteAttachments appends the resource to dst with every Attachment in it
// replaced by what rewrite returns for it, and returns the longer slice: to make
// Attachment.url absolute, say, or to bring the content along as data. All
// other bytes stay as they are.
//
// Attachments are found where the definitions of the version have them, at
// whatever depth: in elements, choices, extensions and contained resources. Only
// choices (contentAttachment, valueAttachment) are found in a resource of a type
// that the version lacks, in the entries of a Bundle and in the resources in
// Parameters. RelatedArtifacts in extensions are not looked into.
//
// The bytes that rewrite gets are one JSON object, lent until it returns. It
// returns one JSON object, which is copied at once, or nothing to leave the
// Attachment as it is. Its error ends the run and is wrapped. On an error, this
// one or [ErrMalformed], dst is returned as it was. The resource must not
// overlap the free room of dst.
func (v Version) RewriteAttachments(
	dst, resource []byte, rewrite func(attachment []byte) ([]byte, error),
) ([]byte, error) {
	t, err := v.typeOf(resource)
	if err != nil {
		return dst, err
	}
	r := attachmentReader{splicer{scanner: scanner{data: resource}, dst: dst}, rewrite}
	for name := range r.members {
		if string(name) == "contained" {
			r.contained(v)
		} else {
			r.member(t, name)
		}
	}
	return r.result(len(dst))
}

type attachmentReader struct {
	splicer
	rewrite func([]byte) ([]byte, error)
}

// contained reads the contained resources, each by its own type. They contain
// none themselves.
func (r *attachmentReader) contained(v Version) {
	for range r.objects {
		t, _ := v.typeOf(r.data[r.pos:])
		for name := range r.members {
			r.member(t, name)
		}
	}
}

// member reads the value of the member, which is next.
func (r *attachmentReader) member(t resourceType, name []byte) {
	if t.isAttachment(name) {
		r.attachments()
	} else if c := r.peek(); c == '{' || c == '[' {
		r.nested(t)
	}
}

// nested walks through an object or array and all that is in it. A string
// before a colon is the name of a member, wherever it stands.
func (r *attachmentReader) nested(t resourceType) {
	for depth := 0; r.err == nil; {
		switch r.peek() {
		case '"':
			name := scanner{data: r.data, pos: r.pos}
			r.skip()
			if r.accept(':') && t.isAttachment(name.text()) {
				r.attachments()
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case 0:
			r.fail("object or array without end")
		}
		r.pos++
		if depth == 0 {
			return
		}
	}
}

// isAttachment reports whether the member of that name holds Attachments.
func (t resourceType) isAttachment(member []byte) bool {
	for _, name := range t.attachments {
		if string(member) == name {
			return true
		}
	}
	return bytes.HasSuffix(member, []byte("Attachment"))
}

// attachments rewrites the object that is next, or those of an array.
func (r *attachmentReader) attachments() {
	for range r.objects {
		start := r.pos
		r.skip()
		if r.err != nil {
			return
		}
		text, err := r.rewrite(r.data[start:r.pos:r.pos])
		if err != nil {
			r.err = fmt.Errorf("fhir: rewrite attachment: %w", err)
			return
		}
		if len(text) > 0 {
			r.cut(start, r.pos)
			r.dst = append(r.dst, text...)
		}
	}
}

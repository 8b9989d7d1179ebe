package cryptsink_test

import (
	"context"
	"encoding/base64"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// fixedKey gives all jobs the key of bytes 0 to 31.
type fixedKey struct{}

func (fixedKey) CreateKey(context.Context, string) (key cryptsink.Key, err error) {
	for i := range key {
		key[i] = byte(i)
	}
	return key, nil
}

func (k fixedKey) Key(ctx context.Context, job string) (cryptsink.Key, error) {
	return k.CreateKey(ctx, job)
}

func (fixedKey) DeleteKey(context.Context, string) error { return nil }

// storedFile is a file as it was stored by the first version.
const storedFile = `
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IGdpdGh1Yi5jb20vYnVsa2V4cG9ydC9jcnlwdHNpbmsgZ0c1RU5TYTgvbVF3Q2c4clJK
ZXhJdwpFbTVKdjVQU2ViT2pUYzNrT2l2bysxT3N0WktoMktYSDdQWmIyOUVPTHQ2LzkrWXU4cHVWUUpxSVB0QQotLS0gWHl3cDhK
K0VrRjhHR2R5ZnZBdXlHQ2YwK3FsWDgxRklKdUZPRExUekh2WQpR4EbhQjZPqFJmZz5y3Ovadw4l2Ao0bGVxXKAqoRqVHHr8Mwdq
i7S0ijg7YL46/bLe1RV2W3V2Jo9wtkrCX0V73UuWew==
`

const storedLines = `{"resourceType":"Patient","id":"1"}` + "\n"

// TestStoredForm has later versions read what earlier ones wrote.
func TestStoredForm(t *testing.T) {
	t.Parallel()
	stored, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(storedFile, "\n", ""))
	require.NoError(t, err)
	inner := memsink.New()
	put(t, inner, job, name, stored)
	require.Equal(t, storedLines, string(content(t, cryptsink.New(inner, fixedKey{}), job, name)))
}

// FuzzSealedFile opens what anybody may have put into the storage: it is an error, or
// exactly what was written under that name, from any place on.
func FuzzSealedFile(f *testing.F) {
	long := string(data(1, chunk+100))
	written := []string{"", storedLines, long[:chunk], long}
	sealedAs := func(name, plain string) []byte {
		inner := memsink.New()
		put(f, cryptsink.New(inner, fixedKey{}), job, name, []byte(plain))
		return content(f, inner, job, name)
	}
	for _, plain := range written {
		stored := sealedAs(name, plain)
		f.Add(stored, uint32(0))
		f.Add(stored, uint32(len(plain)/2))
		f.Add(stored, uint32(len(plain)+1))
		f.Add(stored[:len(stored)/2], uint32(0))
		f.Add(append(stored, 0), uint32(0))
	}
	f.Add(sealedAs(other, "of another name"), uint32(0))
	f.Add([]byte("age-encryption.org/v1\n-> a\n\n--- a\n"), uint32(0))
	f.Fuzz(func(t *testing.T, stored []byte, from uint32) {
		inner := memsink.New()
		put(t, inner, job, name, stored)
		r, err := cryptsink.New(inner, fixedKey{}).Open(t.Context(), job, name)
		if err != nil {
			return
		}
		_, err = r.Seek(int64(from), io.SeekStart)
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, r.Close())
		if err != nil {
			return
		}
		require.True(t, slices.ContainsFunc(written, func(plain string) bool {
			return r.Size() == int64(len(plain)) && plain[min(int(from), len(plain)):] == string(got)
		}))
	})
}

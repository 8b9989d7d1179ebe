package bulkexport_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

const observation = `{"resourceType":"Observation","id":"o1","status":"final",` +
	`"code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood \"pressure\" \u00e9"}]},` +
	`"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":1.20,"unit":"mmHg"},` +
	`"component":[{"valueInteger":-0},{"valueDecimal":1e400},{"valueBoolean":true},{},[],null],` +
	`"note":[{"text":"größer 😀"}]}`

func TestNDJSONWriterKeepsEveryByte(t *testing.T) {
	t.Parallel()
	for name, resource := range map[string]string{
		"numbers, escapes, unicode": observation,
		"smallest":                  `{"resourceType":"Patient"}`,
		"blanks":                    " { \"resourceType\" :\t\"Patient\" , \"a\" : [ 1 , 2 ] } ",
		"many digits":               `{"resourceType":"X","v":12345678901234567890123.000}`,
		"type comes last":           `{"contained":[{"resourceType":"Organization"}],"resourceType":"Patient"}`,
		"type deeper, too":          `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient"}}]}`,
		"long strings":              `{"resourceType":"Binary","data":"` + strings.Repeat("ab12", 1<<18) + `"}`,
		"deep":                      `{"resourceType":"X","v":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			w := bulkexport.NewNDJSONWriter(&out, bulkexport.FileLimits{})
			require.NoError(t, w.WriteResource([]byte(resource)))
			require.NoError(t, w.WriteResource([]byte(resource)))
			require.NoError(t, w.Flush())

			want := resource + "\n" + resource + "\n"
			require.Equal(t, want, out.String())
			sum := sha256.Sum256([]byte(want))
			require.Equal(t, hex.EncodeToString(sum[:]), w.SHA256())
			require.EqualValues(t, 2, w.Count())
			require.EqualValues(t, len(want), w.Size())
		})
	}
}

func TestNDJSONWriterTakesOutLineBreaks(t *testing.T) {
	t.Parallel()
	var pretty, out bytes.Buffer
	require.NoError(t, json.Indent(&pretty, []byte(observation), "", "\t"))
	w := bulkexport.NewNDJSONWriter(&out, bulkexport.FileLimits{})
	require.NoError(t, w.WriteResource(bytes.ReplaceAll(pretty.Bytes(), []byte("\n"), []byte("\r\n"))))
	require.NoError(t, w.Flush())
	require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("\n")))
	var compact bytes.Buffer
	require.NoError(t, json.Compact(&compact, out.Bytes()))
	require.Equal(t, observation, compact.String())
}

func TestNDJSONWriterRefusesWhatIsNoResource(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		``, ` `, `null`, `[]`, `"x"`, `1`, `{`, `{}`, `{"a":1}`, "\xef\xbb\xbf{\"resourceType\":\"X\"}",
		`{"resourceType":"X"}{"resourceType":"X"}`, `{"resourceType":"X"} x`, `{"resourceType":"X"},`,
		`{"resourceType":"X",}`, `{,"resourceType":"X"}`, `{"resourceType":"X" "a":1}`, `{"resourceType":"X","a"}`,
		`{"resourceType":"X","a":}`, `{"resourceType":"X","a":[1,]}`, `{"resourceType":"X","a":[,1]}`,
		`{"resourceType":"X","a":[1 2]}`, `{"resourceType":"X","a":[1}}`, `{"resourceType":"X","a":{]}`,
		`{"resourceType":"X","a":01}`, `{"resourceType":"X","a":+1}`, `{"resourceType":"X","a":1.}`,
		`{"resourceType":"X","a":.5}`, `{"resourceType":"X","a":-}`, `{"resourceType":"X","a":1e}`,
		`{"resourceType":"X","a":1e+}`, `{"resourceType":"X","a":0x1}`, `{"resourceType":"X","a":NaN}`,
		`{"resourceType":"X","a":tru}`, `{"resourceType":"X","a":nul`, `{"resourceType":"X","a":True}`,
		`{"resourceType":"X","a":"` + "\n" + `"}`, `{"resourceType":"X","a":"` + "\x01" + `"}`,
		`{"resourceType":"X","a":"` + "\x00" + `"}`, `{"resourceType":"X","a":"\x"}`, `{"resourceType":"X","a":"\u12g4"}`,
		`{"resourceType":"X","a":"\u123`, `{"resourceType":"X","a":"\`, `{"resourceType":"X","a":"abc`,
		`{"resourceType":"X","a":"` + "\xff" + `"}`, `{"resourceType":"X","a":"` + "\xed\xa0\x80" + `"}`,
		`{"resourceType":"X","resourceType":"X"}`, `{"resourceType":1}`, `{"resourceType":""}`, `{"resourceType":null}`,
		`{"resourceType":"X","resourceType":["Y"]}`, `{"resourceType":{"a":1},"resourceType":"X"}`,
		`{"resourceType":"X","resource\u0054ype":"Y"}`, `{"resourceType":{"a":1}}`,
		`{resourceType:"X"}`, `{'resourceType':'X'}`, `{"resourceType":"X"/**/}`,
		`{"resourceType":"X","v":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`,
	} {
		var out bytes.Buffer
		w := bulkexport.NewNDJSONWriter(&out, bulkexport.FileLimits{})
		var fault *bulkexport.LineError
		require.ErrorAs(t, w.WriteResource([]byte(bad)), &fault, "%q", bad)
		require.LessOrEqual(t, fault.Offset, len(bad))

		require.NoError(t, w.WriteResource([]byte(observation)))
		require.NoError(t, w.Flush())
		require.Equal(t, observation+"\n", out.String(), "after %q", bad)
		require.EqualValues(t, 1, w.Count())
	}
}

// acceptable says by other means whether b is a resource.
func acceptable(b []byte) bool {
	if !json.Valid(b) || !utf8.Valid(b) {
		return false
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil || members == nil {
		return false
	}
	return len(members["resourceType"]) > 2 && members["resourceType"][0] == '"'
}

func TestNDJSONWriterAgreesWithStrictParser(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []byte("{}[]\":,\\u0019eE+-.tfnl \n\r\t\x00\x1f\x7f\xc3\xa9\xff/")
	accepted := 0
	for range 10_000 {
		b := []byte(observation)
		for range 1 + rng.IntN(3) {
			// What comes before is the resourceType itself, whose duplicates a
			// map cannot show.
			i := 30 + rng.IntN(len(b)-30)
			switch rng.IntN(3) {
			case 0:
				b[i] = alphabet[rng.IntN(len(alphabet))]
			case 1:
				b = append(b[:i], b[i+1:]...)
			default:
				b = append(b[:i], append([]byte{alphabet[rng.IntN(len(alphabet))]}, b[i:]...)...)
			}
		}
		err := bulkexport.NewNDJSONWriter(&bytes.Buffer{}, bulkexport.FileLimits{}).WriteResource(b)
		require.Equal(t, acceptable(b), err == nil, "%q: %v", b, err)
		if err == nil {
			accepted++
		}
	}
	require.NotZero(t, accepted)
}

// TestNDJSONWriterAgreesOnEveryPlace puts what is special at every place of
// texts of all short lengths, in a name, in a value and at the end.
func TestNDJSONWriterAgreesOnEveryPlace(t *testing.T) {
	t.Parallel()
	w := bulkexport.NewNDJSONWriter(io.Discard, bulkexport.FileLimits{})
	for _, special := range []string{
		``, `"`, `\`, `\"`, `\\`, `\u00e9`, `\u00g9`, "\x1f", "\x00", "\x7f", "é", "😀", "\xff", "\xed\xa0\x80", "\xc3",
		`":"`, `","`,
	} {
		for length := range 36 {
			for place := range length + 1 {
				text := strings.Repeat("!", place) + special + strings.Repeat("#", length-place)
				for _, form := range []string{
					`{"resourceType":"X","%s":"more than sixteen bytes"}`,
					`{"resourceType":"X","a":"%s","b":"more than sixteen bytes"}`,
					`{"resourceType":"X","a":{"b":["%s","c"]}}`, `{"resourceType":"X","a":"%s"}`,
				} {
					b := []byte(strings.Replace(form, "%s", text, 1))
					if err := w.WriteResource(b); (err == nil) != acceptable(b) {
						require.Fail(t, "wrong judgement", "%q: %v", b, err)
					}
				}
			}
		}
	}
	require.NotZero(t, w.Count())
}

// TestNDJSONWriterAgreesOnNesting exchanges one bracket of nested levels.
func TestNDJSONWriterAgreesOnNesting(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	for depth := range 300 {
		var opened, closed string
		for range depth {
			if rng.IntN(2) == 0 {
				opened, closed = opened+"[", "]"+closed
			} else {
				opened, closed = opened+`{"a":`, "}"+closed
			}
		}
		b := []byte(`{"resourceType":"X","v":` + opened + "1" + closed + `,"w":[` + opened + `2` + closed + `]}`)
		w := bulkexport.NewNDJSONWriter(io.Discard, bulkexport.FileLimits{})
		require.NoError(t, w.WriteResource(b))
		for at := range b {
			if b[at] == ']' || b[at] == '}' {
				b[at] ^= ']' ^ '}'
				require.Error(t, w.WriteResource(b), "%s", b)
				b[at] ^= ']' ^ '}'
			}
		}
	}
}

// refusedByOurRules reports whether err is about what JSON allows.
func refusedByOurRules(err error) bool {
	var fault *bulkexport.LineError
	return errors.As(err, &fault) &&
		(fault.Reason == "nested too deeply" || strings.Contains(fault.Reason, "resourceType"))
}

func FuzzNDJSONWriter(f *testing.F) {
	f.Add([]byte(observation))
	f.Add([]byte("{\n\"resourceType\": \"Patient\"\n}"))
	f.Add([]byte(`{"resourceType":"X","a":"\ud800"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		w := bulkexport.NewNDJSONWriter(&out, bulkexport.FileLimits{})
		err := w.WriteResource(b)
		if flushErr := w.Flush(); flushErr != nil {
			t.Fatal(flushErr)
		}
		if err != nil {
			if out.Len() != 0 || w.Count() != 0 {
				t.Fatalf("refused, but wrote %q", out.Bytes())
			}
			if acceptable(b) && !refusedByOurRules(err) {
				t.Fatalf("refused %q: %v", b, err)
			}
			return
		}
		if !acceptable(b) {
			t.Fatalf("accepted %q", b)
		}
		line, rest, found := bytes.Cut(out.Bytes(), []byte("\n"))
		if !found || len(rest) != 0 || bytes.ContainsRune(line, '\r') || !acceptable(line) {
			t.Fatalf("not one good line: %q", out.Bytes())
		}
		var before, after bytes.Buffer
		if json.Compact(&before, b) != nil || json.Compact(&after, line) != nil || before.String() != after.String() {
			t.Fatalf("changed %q to %q", b, line)
		}
	})
}

func TestNDJSONWriterLimits(t *testing.T) {
	t.Parallel()
	var first, second bytes.Buffer
	w := bulkexport.NewNDJSONWriter(&first, bulkexport.FileLimits{Resources: 2, Bytes: 100})
	line := []byte(`{"resourceType":"Patient"}`)
	require.True(t, w.Fits(1_000), "a file takes one resource of any size")
	require.NoError(t, w.WriteResource(line))
	require.True(t, w.Fits(100-len(line)-2))
	require.False(t, w.Fits(100-len(line)-1))
	require.NoError(t, w.WriteResource(line))
	require.False(t, w.Fits(1), "two lines are the limit")

	require.NoError(t, w.Flush())
	w.Reset(&second)
	require.True(t, w.Fits(1_000))
	require.Zero(t, w.Count())
	require.NoError(t, w.WriteResource(line))
	require.NoError(t, w.Flush())
	require.Equal(t, string(line)+"\n", second.String())
	sum := sha256.Sum256(second.Bytes())
	require.Equal(t, hex.EncodeToString(sum[:]), w.SHA256())
}

// failingStream takes some bytes and then fails.
type failingStream struct {
	left int
	err  error
}

func (s *failingStream) Write(p []byte) (int, error) {
	if len(p) <= s.left {
		s.left -= len(p)
		return len(p), nil
	}
	return s.left, s.err
}

func TestNDJSONWriterStaysFailed(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for _, err := range []error{full, nil} { // nil: a short write without an error
		w := bulkexport.NewNDJSONWriter(&failingStream{left: 10, err: err}, bulkexport.FileLimits{})
		require.NoError(t, w.WriteResource([]byte(observation)), "it is buffered")
		failed := w.Flush()
		require.Error(t, failed)
		if err != nil {
			require.ErrorIs(t, failed, full)
		}
		require.Equal(t, failed, w.WriteResource([]byte(observation)))
		require.Equal(t, failed, w.Flush())
	}
}

//nolint:paralleltest // other tests would be counted
func TestNDJSONWriterDoesNotAllocatePerResource(t *testing.T) {
	resource := []byte(observation)
	w := bulkexport.NewNDJSONWriter(&failingStream{left: 1 << 40}, bulkexport.FileLimits{})
	require.Zero(t, testing.AllocsPerRun(1_000, func() {
		if err := w.WriteResource(resource); err != nil {
			t.Error(err)
		}
	}))
}

func ExampleNDJSONWriter() {
	var file bytes.Buffer
	w := bulkexport.NewNDJSONWriter(&file, bulkexport.FileLimits{Resources: 1000})
	for _, resource := range []string{
		`{"resourceType":"Patient","id":"p1"}`,
		"{\n  \"resourceType\": \"Patient\",\n  \"id\": \"p2\"\n}",
		`{"resourceType":"Patient","id":`,
	} {
		if err := w.WriteResource([]byte(resource)); err != nil {
			fmt.Println(err)
		}
	}
	if err := w.Flush(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(w.Count(), "lines")
	fmt.Print(file.String())
	// Output:
	// not a JSON resource: no JSON value at byte 31
	// 2 lines
	// {"resourceType":"Patient","id":"p1"}
	// {  "resourceType": "Patient",  "id": "p2"}
}

package rawjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir/internal/rawjson"
)

// TestPlaces puts what is special at every place of texts of all short lengths,
// and compares with encoding/json where the value ends and what it is.
func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, special := range []string{
		``, `\"`, `\\`, `\\\"`, `\\\\`, `\u00e9`, `\":\"`, `\",\"`, "é", "😀", "\x7f", "[", "}", ":", ",",
	} {
		for length := range 90 {
			for place := range length + 1 {
				text := `"` + strings.Repeat("!", place) + special + strings.Repeat("#", length-place) + `"`
				for _, after := range []string{"", ",1", `:"of more than sixteen bytes"}`, ` ]`} {
					requireText(t, text, after)
				}
				for _, form := range []string{`[%,%]`, `{%:%}`, `{"a":[%,[]],"b":"c",%:{}}`, `[ % , "", { % : "a" } ]`} {
					requireEnd(t, strings.ReplaceAll(form, "%", text), `,"]}`)
				}
			}
		}
	}
}

func requireText(t *testing.T, text, after string) {
	t.Helper()
	var want string
	require.NoError(t, json.Unmarshal([]byte(text), &want))
	got, end, fault := rawjson.Text([]byte(text+after), 0)
	if string(got) != want || end != len(text) || fault != "" {
		require.Fail(t, "wrong text", "%s%s: %q to %d, %s", text, after, got, end, fault)
	}
	requireEnd(t, text, after)
}

func requireEnd(t *testing.T, value, after string) {
	t.Helper()
	for _, data := range []string{value, value + after, value + strings.Repeat(after+" ", 9)} {
		if end, fault := rawjson.Skip([]byte(data), 0); end != len(value) || fault != "" {
			require.Fail(t, "wrong end", "%s: %d, not %d, %s", data, end, len(value), fault)
		}
	}
}

// TestCutOff leaves out the end of a value.
func TestCutOff(t *testing.T) {
	t.Parallel()
	value := []byte(`{"a":["b","c\\",{"d\"":"eeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}],"f":"g","h":1,"i":"` +
		strings.Repeat("long", 30) + `"}`)
	for n := range value {
		_, fault := rawjson.Skip(value[:n:n], 0)
		require.NotEmpty(t, fault, "%s", value[:n])
	}
	end, fault := rawjson.Skip(value, 0)
	require.Empty(t, fault)
	require.Equal(t, len(value), end)
}

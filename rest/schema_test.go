package rest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"tidings/rest"
)

// node is a part of the document.
type node = map[string]any

// api is the document, with what is needed to hold answers against it.
type api struct{ root node }

func readAPI(t *testing.T) api {
	t.Helper()
	a, err := read()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// read reads the document once; nobody changes it.
var read = sync.OnceValues(func() (a api, err error) {
	err = decodeNumbers(rest.Document(), &a.root)
	return a, err
})

// decodeNumbers keeps numbers as they were written.
func decodeNumbers(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	return decoder.Decode(into)
}

// object and list are parts of the document by their kind; nil if they are not
// of it.
func object(value any) node {
	n, _ := value.(node)
	return n
}

func list(value any) []any {
	all, _ := value.([]any)
	return all
}

// at follows names down the document, and references where they lead.
func (a api) at(from any, names ...string) node {
	n := object(from)
	for _, name := range names {
		n = object(a.deref(n)[name])
	}
	return a.deref(n)
}

func (a api) deref(n node) node {
	for {
		to, is := n["$ref"].(string)
		if !is {
			return n
		}
		n = a.root
		for name := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
			n = object(n[name])
		}
	}
}

// schema is one of the named ones.
func (a api) schema(name string) node { return a.at(a.root, "components", "schemas", name) }

// texts are the strings in an array of the document.
func texts(array any) []string {
	all := []string{}
	for _, one := range list(array) {
		all = append(all, fmt.Sprint(one))
	}
	slices.Sort(all)
	return all
}

// wrong says what of a value is not as a schema wants it: the part of JSON Schema
// 2020-12 that the document uses. It is stricter in one thing: a property that the
// schema does not know is wrong unless additionalProperties say otherwise.
func (a api) wrong(schema node, value any, path string) []string {
	var all []string
	blame := func(format string, args ...any) { all = append(all, path+": "+fmt.Sprintf(format, args...)) }
	for _, keyword := range slices.Sorted(maps.Keys(schema)) {
		want := schema[keyword]
		switch keyword {
		case "description", "default", "examples", "example":
		case "$ref":
			all = append(all, a.wrong(a.deref(schema), value, path)...)
		case "type":
			if !slices.Contains(append(texts(want), fmt.Sprint(want)), typeOf(value)) && (want != "number" || typeOf(value) != "integer") {
				blame("is of type %s, want %v", typeOf(value), want)
			}
		case "enum":
			if !slices.ContainsFunc(list(want), func(one any) bool { return reflect.DeepEqual(one, value) }) {
				blame("is %v, want one of %v", value, want)
			}
		case "const":
			if !reflect.DeepEqual(want, value) {
				blame("is %v, want %v", value, want)
			}
		case "oneOf":
			matching := 0
			for _, one := range list(want) {
				if len(a.wrong(object(one), value, path)) == 0 {
					matching++
				}
			}
			if matching != 1 {
				blame("is as %d of oneOf want it", matching)
			}
		case "properties", "required", "additionalProperties":
			// below
		case "items", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength", "format":
			all = append(all, a.outside(keyword, want, value, path)...)
		default:
			blame("the validator of the tests does not know the keyword %q", keyword)
		}
	}
	if fields, is := value.(node); is && (schema["properties"] != nil || schema["required"] != nil || schema["additionalProperties"] != nil) {
		all = append(all, a.wrongObject(schema, fields, path)...)
	}
	return all
}

func (a api) wrongObject(schema, fields node, path string) []string {
	var all []string
	for _, name := range texts(schema["required"]) {
		if _, given := fields[name]; !given {
			all = append(all, path+": has no "+name)
		}
	}
	properties := object(schema["properties"])
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		at := path + "." + name
		if of, known := properties[name]; known {
			all = append(all, a.wrong(object(of), fields[name], at)...)
			continue
		}
		switch more := schema["additionalProperties"].(type) {
		case node:
			all = append(all, a.wrong(more, fields[name], at)...)
		case bool:
			if !more {
				all = append(all, at+": is no property")
			}
		default:
			all = append(all, at+": is not in the schema")
		}
	}
	return all
}

// outside checks the keywords that bound a value of one type.
func (a api) outside(keyword string, want, value any, path string) []string {
	bound, _ := want.(json.Number)
	limit, _ := bound.Float64()
	wrong := func(is bool) []string {
		if !is {
			return nil
		}
		return []string{fmt.Sprintf("%s: %v is outside of %s %v", path, value, keyword, want)}
	}
	switch value := value.(type) {
	case []any:
		var all []string
		switch keyword {
		case "items":
			for i, one := range value {
				all = append(all, a.wrong(object(want), one, path+"["+strconv.Itoa(i)+"]")...)
			}
		case "minItems":
			all = wrong(float64(len(value)) < limit)
		case "maxItems":
			all = wrong(float64(len(value)) > limit)
		}
		return all
	case json.Number:
		n, err := value.Float64()
		return wrong(err != nil || keyword == "minimum" && n < limit || keyword == "maximum" && n > limit)
	case string:
		length := float64(utf8.RuneCountInString(value))
		switch keyword {
		case "minLength":
			return wrong(length < limit)
		case "maxLength":
			return wrong(length > limit)
		case "format":
			return wrong(!formatted(value, want))
		}
	}
	return nil
}

func formatted(text string, as any) bool {
	switch as {
	case "date-time":
		_, err := time.Parse(time.RFC3339, text)
		return err == nil
	case "uri-reference":
		_, err := url.Parse(text)
		return err == nil
	}
	return false
}

func typeOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case json.Number:
		if _, err := value.Int64(); err == nil || !strings.ContainsAny(value.String(), ".eE") {
			return "integer"
		}
		return "number"
	}
	return "object"
}

// operation is what the document says of a request; the path alone is known if
// it has no such method.
func (a api) operation(r *http.Request) (item, operation node) {
	asked := strings.Split(r.URL.EscapedPath(), "/")
	for path, item := range a.at(a.root, "paths") {
		segments := strings.Split(path, "/")
		if len(segments) != len(asked) || strings.Contains(path, "{") && strings.HasSuffix(r.URL.EscapedPath(), "/") {
			continue
		}
		matches := true
		for i, segment := range segments {
			matches = matches && (segment == asked[i] || strings.HasPrefix(segment, "{"))
		}
		if !matches {
			continue
		}
		method := strings.ToLower(r.Method)
		if method == "head" {
			method = "get"
		}
		return object(item), object(object(item)[method])
	}
	return nil, nil
}

// check holds an answer against the document: every answer of every test goes
// through it.
func (a api) check(t *testing.T, r *http.Request, sent string, w *httptest.ResponseRecorder) {
	t.Helper()
	what := fmt.Sprintf("%s %s: %d", r.Method, r.URL, w.Code)
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control is %q", what, w.Header().Get("Cache-Control"))
	}
	item, operation := a.operation(r)
	if operation == nil {
		a.checkRefusal(t, what, item, w)
		return
	}
	response := a.at(operation, "responses", strconv.Itoa(w.Code))
	if response == nil {
		t.Errorf("%s: not documented: %s", what, w.Body)
		return
	}
	for name, header := range a.at(response, "headers") {
		if a.deref(object(header))["required"] == true && w.Header().Get(name) == "" {
			t.Errorf("%s: has no header %s", what, name)
		}
	}
	a.checkBody(t, what, response, w)
	if w.Code >= http.StatusMultipleChoices {
		return
	}
	parameters := a.parameters(operation, "query")
	for name := range r.URL.Query() {
		if !slices.Contains(parameters, name) {
			t.Errorf("%s: parameter %s is obeyed and not documented", what, name)
		}
	}
	schema := a.at(operation, "requestBody", "content", "application/json", "schema")
	if schema != nil && strings.TrimSpace(sent) != "" && r.Header.Get("Ce-Specversion") == "" && strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		var value any
		if err := decodeNumbers([]byte(sent), &value); err != nil {
			t.Errorf("%s: accepted what is no JSON: %s", what, sent)
		}
		for _, wrong := range a.wrong(schema, value, "body") {
			t.Errorf("%s: accepted what is not documented: %s", what, wrong)
		}
	}
}

// checkRefusal is for paths and methods that there are not.
func (a api) checkRefusal(t *testing.T, what string, item node, w *httptest.ResponseRecorder) {
	t.Helper()
	want, allow := http.StatusNotFound, ""
	if item != nil {
		want = http.StatusMethodNotAllowed
		var methods []string
		for method := range item {
			methods = append(methods, strings.ToUpper(method))
			if method == "get" {
				methods = append(methods, http.MethodHead)
			}
		}
		slices.Sort(methods)
		allow = strings.Join(methods, ", ")
	}
	if w.Code != want || w.Header().Get("Allow") != allow {
		t.Errorf("%s, Allow %q; want %d, %q", what, w.Header().Get("Allow"), want, allow)
	}
	a.checkBody(t, what, a.at(a.root, "components", "responses", "NotFound"), w)
}

func (a api) checkBody(t *testing.T, what string, response node, w *httptest.ResponseRecorder) {
	t.Helper()
	content := a.at(response, "content")
	if content == nil {
		if w.Body.Len() > 0 || w.Header().Get("Content-Type") != "" {
			t.Errorf("%s: has a body: %s", what, w.Body)
		}
		return
	}
	media, is := content[w.Header().Get("Content-Type")].(node)
	if !is {
		t.Errorf("%s: Content-Type %q is not documented", what, w.Header().Get("Content-Type"))
		return
	}
	var value any
	if err := decodeNumbers(w.Body.Bytes(), &value); err != nil {
		t.Errorf("%s: %v: %s", what, err, w.Body)
		return
	}
	for _, wrong := range a.wrong(a.at(media, "schema"), value, "answer") {
		t.Errorf("%s: %s in %s", what, wrong, w.Body)
	}
}

// parameters are the names of those of an operation that are in the query, the
// path or the header.
func (a api) parameters(operation node, in string) []string {
	var names []string
	for _, one := range list(operation["parameters"]) {
		if p := a.deref(object(one)); p["in"] == in {
			names = append(names, fmt.Sprint(p["name"]))
		}
	}
	slices.Sort(names)
	return names
}

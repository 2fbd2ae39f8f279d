package rest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"tidings/notifications"
	tidingsv1 "tidings/proto/tidings/v1"
	"tidings/rest"
)

// Every route is in the document, with its parameters, and the other way round.
func TestRoutesAreTheDocument(t *testing.T) {
	s := newSite(t)
	var served, documented []string
	for _, route := range s.Routes() {
		served = append(served, route.Method+" "+route.Path)
		operation := s.api.at(s.api.root, "paths", route.Path, strings.ToLower(route.Method))
		if operation == nil {
			t.Errorf("%s %s is not documented", route.Method, route.Path)
			continue
		}
		if got := s.api.parameters(operation, "query"); !route.Open && route.Path != "/v1/notifications" && !slices.Equal(got, route.Query) {
			t.Errorf("%s %s: parameters %q are documented, %q are taken", route.Method, route.Path, got, route.Query)
		}
		var inPath []string
		for part := range strings.SplitSeq(route.Path, "/") {
			if name, is := strings.CutPrefix(part, "{"); is {
				inPath = append(inPath, strings.TrimSuffix(name, "}"))
			}
		}
		slices.Sort(inPath)
		if got := s.api.parameters(operation, "path"); !slices.Equal(got, inPath) {
			t.Errorf("%s %s: %q are documented in the path", route.Method, route.Path, got)
		}
		if _, body := operation["requestBody"]; body != route.Body {
			t.Errorf("%s %s: documented body: %v, want %v", route.Method, route.Path, body, route.Body)
		}
		if _, open := operation["security"]; open != route.Open {
			t.Errorf("%s %s: documented without a token: %v, want %v", route.Method, route.Path, open, route.Open)
		}
	}
	ids := map[any]string{}
	for path, item := range s.api.at(s.api.root, "paths") {
		for method, operation := range object(item) {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			id := object(operation)["operationId"]
			if other, twice := ids[id]; twice || id == nil {
				t.Errorf("%s %s and %s have the same operationId %v", method, path, other, id)
			}
			ids[id] = path
		}
	}
	slices.Sort(served)
	slices.Sort(documented)
	if !slices.Equal(served, documented) {
		t.Errorf("served:\n%s\ndocumented:\n%s", strings.Join(served, "\n"), strings.Join(documented, "\n"))
	}
}

// Everything is said once: what is not referred to has been forgotten.
func TestEveryPartOfTheDocumentIsUsed(t *testing.T) {
	text := string(rest.Document())
	a := readAPI(t)
	for kind, parts := range a.at(a.root, "components") {
		for name := range object(parts) {
			if kind != "securitySchemes" && !strings.Contains(text, `"#/components/`+kind+`/`+name+`"`) {
				t.Errorf("nothing refers to %s/%s", kind, name)
			}
		}
	}
	for to := range strings.SplitSeq(text, `"$ref": "`) {
		if path, _, _ := strings.Cut(to, `"`); strings.HasPrefix(path, "#/") && a.deref(node{"$ref": path}) == nil {
			t.Errorf("nothing is at %s", path)
		}
	}
}

// Every answer's fields are in its schema, as the types write them.
func TestSchemasAreTheTypes(t *testing.T) {
	a := readAPI(t)
	types := rest.Types()
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if a.schema(name) == nil {
			t.Errorf("there is no schema %s", name)
			continue
		}
		a.sameAs(t, a.schema(name), types[name], name)
	}
	requests := []string{"Event", "CloudEvent", "Marks", "UpTo", "PreferencesChange", "Position"}
	for name := range a.at(a.root, "components", "schemas") {
		if types[name] == nil && !slices.Contains(requests, name) {
			t.Errorf("schema %s is of no type", name)
		}
	}
	change := a.at(a.schema("PreferencesChange"), "properties")
	if got, want := slices.Sorted(maps.Keys(change)), slices.Sorted(maps.Keys(a.at(a.schema("Preferences"), "properties"))); !slices.Equal(got, want) {
		t.Errorf("preferences have %q when they are set and %q when they are read", got, want)
	}
}

// sameAs compares a schema with the type whose JSON it is of.
func (a api) sameAs(t *testing.T, schema node, of reflect.Type, path string) {
	t.Helper()
	schema = a.deref(schema)
	want := ""
	switch kind := of.Kind(); {
	case of == reflect.TypeFor[time.Time]():
		want = "string"
		if schema["format"] != "date-time" {
			t.Errorf("%s: want the format of a time", path)
		}
	case of == reflect.TypeFor[json.RawMessage]():
		if schema["type"] != nil {
			t.Errorf("%s: want no type: any JSON", path)
		}
		return
	case of.Implements(reflect.TypeFor[json.Marshaler]()):
		want = "string"
	case kind == reflect.Pointer:
		a.sameAs(t, schema, of.Elem(), path)
		return
	case kind == reflect.Struct:
		want = "object"
		a.sameFields(t, schema, of, path)
	case kind == reflect.Slice:
		want = "array"
		a.sameAs(t, a.at(schema, "items"), of.Elem(), path+"[]")
	case kind == reflect.Map:
		want = "object"
		a.sameAs(t, a.at(schema, "additionalProperties"), of.Elem(), path+"{}")
	case kind == reflect.String:
		if schema["enum"] != nil {
			return
		}
		want = "string"
	case kind == reflect.Bool:
		want = "boolean"
	case kind >= reflect.Int && kind <= reflect.Uint64:
		want = "integer"
	}
	if schema["type"] != want {
		t.Errorf("%s: of type %v, want %s", path, schema["type"], want)
	}
}

func (a api) sameFields(t *testing.T, schema node, of reflect.Type, path string) {
	t.Helper()
	properties := a.at(schema, "properties")
	var names, required []string
	var walk func(of reflect.Type)
	walk = func(of reflect.Type) {
		for field := range of.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			switch {
			case field.Anonymous && name == "":
				walk(field.Type)
				continue
			case name == "-":
				continue
			case name == "":
				t.Errorf("%s.%s has no JSON name", path, field.Name)
				continue
			}
			names = append(names, name)
			if !strings.Contains(options, "omit") {
				required = append(required, name)
			}
			if property, known := properties[name].(node); known {
				a.sameAs(t, property, field.Type, path+"."+name)
			}
		}
	}
	walk(of)
	slices.Sort(names)
	slices.Sort(required)
	if of == reflect.TypeFor[notifications.Event]() { // the schema is that of requests
		names, required = append(names, "ttl"), []string{"recipient"}
		slices.Sort(names)
	}
	if got := slices.Sorted(maps.Keys(properties)); !slices.Equal(got, names) {
		t.Errorf("%s: the schema has %q, the type %q", path, got, names)
	}
	if got := texts(schema["required"]); !slices.Equal(got, required) {
		t.Errorf("%s: %q are required, the type always writes %q", path, got, required)
	}
}

// The document names every field of an event, and only those.
func TestDocumentNamesTheFieldsOfAnEvent(t *testing.T) {
	a := readAPI(t)
	fields := (&tidingsv1.Event{}).ProtoReflect().Descriptor().Fields()
	properties := a.at(a.schema("Event"), "properties")
	for i := range fields.Len() {
		if name := fields.Get(i).JSONName(); properties[name] == nil {
			t.Errorf("the schema has no %s", name)
		}
	}
	if len(properties) != fields.Len() {
		t.Errorf("the schema has %d fields, an event %d", len(properties), fields.Len())
	}
}

// Every example is as its schema wants it, and every answer has one.
func TestExamplesAreAsTheSchemasWantThem(t *testing.T) {
	a := readAPI(t)
	count := 0
	var walk func(value any, path string)
	walk = func(value any, path string) {
		switch value := value.(type) {
		case []any:
			for _, one := range value {
				walk(one, path)
			}
		case node:
			schema, examples := value, value["examples"]
			if inner, is := value["schema"].(node); is {
				if schema = inner; value["example"] != nil {
					examples = []any{value["example"]}
				}
			}
			for _, example := range list(examples) {
				count++
				for _, wrong := range a.wrong(schema, example, path) {
					t.Error(wrong)
				}
			}
			for name, inner := range value {
				if name != "example" && name != "examples" {
					walk(inner, path+"/"+name)
				}
			}
		}
	}
	walk(a.root, "")
	if count < 40 {
		t.Errorf("only %d examples", count)
	}
	for path, item := range a.at(a.root, "paths") {
		for method, operation := range object(item) {
			for status, response := range a.at(operation, "responses") {
				for kind, media := range a.at(response, "content") {
					if object(media)["example"] == nil && !strings.Contains(path, "openapi") {
						t.Errorf("%s %s %s %s has no example", method, path, status, kind)
					}
				}
			}
		}
	}
}

// Every route goes well at least once here, and every answer is as documented,
// which site.do checks.
func TestEveryRouteAnswers(t *testing.T) {
	s := newSite(t)
	s.emit(t, `{"id":"a1","recipient":"user/ann","type":"order.shipped","title":"One","data":{"order":1},"actions":[{"label":"Track","link":"/t"}]}`)
	s.emit(t, `{"id":"a2","recipient":"user/ann","severity":"critical","source":"s","collapseKey":"k","expiresAt":"2026-01-03T00:00:00Z"}`)
	bodies := map[string]string{
		"POST /v1/notifications": `{"recipient":"user/ann"}`,
		"PUT preferences":        `{"mutes":[{"type":"order.*"}],"quietHours":{"from":"22:00","to":"07:00","zone":"Europe/Berlin","days":["mon"]}}`,
		"POST preferences/mutes": `{"group":"g/1 x","until":"2026-02-01T00:00:00Z"}`,
	}
	queries := map[string]string{"DELETE preferences/mutes": "?type=order.*", "GET /v1/explain": "?id=a1&user=ann", "GET inbox": "?limit=1&state=unseen&state=seen&state=read&severity=info&type=order.*"}
	routes := s.Routes()
	slices.SortStableFunc(routes, func(a, b rest.Route) int { // what deletes comes last
		return rank(a.Method) - rank(b.Method)
	})
	for _, route := range routes {
		path := strings.NewReplacer("{user}", "ann", "{group}", "g%2F1%20x", "{role}", "ops", "{id}", "a1").Replace(route.Path)
		short := route.Method + " " + strings.TrimPrefix(strings.TrimPrefix(route.Path, "/v1/users/{user}/"), "/v1/")
		body, query := bodies[route.Method+" "+route.Path]+bodies[short], queries[route.Method+" "+route.Path]+queries[short]
		if strings.Contains(path, "/inbox/") && !strings.Contains(path, "all-") && route.Body {
			body = `{"ids":["a1",2]}`
		}
		by := root
		if !strings.Contains(route.Path, "{user}") && route.Path != "/v1/explain" && !strings.Contains(route.Path, "notifications") {
			by = ann
		}
		t.Run(short, func(t *testing.T) {
			s.ok(t, by, route.Method+" "+path+query, body)
			if route.Method == http.MethodGet {
				s.ok(t, by, "HEAD "+path+query, "")
			}
		})
	}
}

func rank(method string) int {
	return slices.Index([]string{http.MethodPost, http.MethodPut, http.MethodGet, http.MethodDelete}, method)
}

// Every path answers the methods it does not know with those it does, to whoever
// asks, and no path is anything but what it says.
func TestOtherPathsAndMethods(t *testing.T) {
	s := newSite(t)
	for path, item := range s.api.at(s.api.root, "paths") {
		path = strings.NewReplacer("{user}", "ann", "{group}", "ops", "{role}", "ops", "{id}", "a1").Replace(path)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			known := object(item)[strings.ToLower(method)] != nil || method == "HEAD" && object(item)["get"] != nil
			w := s.do(t, "", method+" "+path, "")
			if !known && w.Code != http.StatusMethodNotAllowed || known && w.Code != http.StatusUnauthorized && !strings.Contains(path, "openapi") {
				t.Errorf("%s %s without a token: got %d", method, path, w.Code)
			}
		}
	}
	for _, target := range []string{
		"GET /v1/nothing", "GET /", "GET /v1", "GET /v1/inbox/", "GET /v1/inbox/nothing", "POST /v1/inbox/read/1", "DELETE /v1/users", "DELETE /v1/users/", "GET /v2/inbox",
		"PUT /v1/groups/ops/members/", "PUT /v1/groups/ops/members", "GET /v1/users/ann", "DELETE /v1/users/ann/roles/", "GET /openapi.yaml",
	} {
		if w := s.do(t, root, target, ""); w.Code != http.StatusNotFound && w.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: got %d", target, w.Code)
		}
	}
}

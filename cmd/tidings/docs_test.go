package main

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	tidingsv1 "tidings/proto/tidings/v1"
	"tidings/roles"
)

// What the documents say of the program is held against the program.

const root = "../.."

func document(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// after is the part of a document behind a mark.
func after(t *testing.T, text, mark string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, mark)
	if !found {
		t.Fatalf("no %q", mark)
	}
	return rest
}

// table is the first table of a text, without its head: cells without white
// space and backticks around them.
func table(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|"):
			var row []string
			for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
				row = append(row, strings.Trim(strings.TrimSpace(cell), "`"))
			}
			rows = append(rows, row)
		case len(rows) > 0:
			return rows[2:]
		}
	}
	return rows[2:]
}

// block is the first code block of a text.
func block(t *testing.T, text string) string {
	t.Helper()
	found := regexp.MustCompile("(?s)```[a-z]*\n(.*?)```").FindStringSubmatch(text)
	if found == nil {
		t.Fatal("no code block")
	}
	return found[1]
}

func TestDocumentedSettingsAreTheSettings(t *testing.T) {
	documented := map[string][]string{}
	for _, row := range table(after(t, document(t, "docs/guides/running.md"), "<!-- settings -->")) {
		documented[strings.TrimPrefix(row[0], "--")] = row
	}
	for field := range reflect.TypeFor[settings]().Fields() {
		name := field.Tag.Get("name")
		row := documented[name]
		delete(documented, name)
		switch {
		case row == nil:
			t.Errorf("--%s is not documented", name)
		case row[1] != variable(name):
			t.Errorf("--%s: documented variable %s, want %s", name, row[1], variable(name))
		case field.Tag.Get("default") != "" && !strings.HasPrefix(row[2], field.Tag.Get("default")):
			t.Errorf("--%s: documented default %q, want %s", name, row[2], field.Tag.Get("default"))
		}
		if _, secret := field.Tag.Lookup("secret"); row != nil && secret != strings.HasSuffix(row[3], "A secret.") {
			t.Errorf("--%s: secret is %v, documented: %s", name, secret, row[3])
		}
	}
	for name := range documented {
		t.Errorf("--%s is documented and is no setting", name)
	}
}

func TestDocumentedConfigurationFileIsAccepted(t *testing.T) {
	text := block(t, after(t, document(t, "docs/guides/running.md"), "### The configuration file"))
	if _, err := config(t, text, nil); err != nil {
		t.Error(err)
	}
}

func TestDocumentedPolicyIsTheDefault(t *testing.T) {
	text := block(t, after(t, document(t, "docs/guides/running.md"), "<!-- policy -->"))
	var file struct {
		Hubs map[string]map[string][]string
		Emit map[string][]string
	}
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	policy := roles.DefaultPolicy()
	for _, role := range []string{"emitter", "admin", "other"} {
		who := roles.Principal{UserID: "u", Roles: []string{role}}
		allowed := func(list []string) bool { return slices.Contains(list, role) || slices.Contains(list, roles.Anyone) }
		for method, list := range file.Hubs["notifications"] {
			if method == "*" {
				method = "AnyOther"
			}
			if got := policy.MayInvoke(who, "notifications", method); got != allowed(list) {
				t.Errorf("%s may invoke %s: %v, documented: %v", role, method, got, list)
			}
		}
		for kind, list := range file.Emit {
			if got := policy.MayEmit(who, kind, "x"); got != allowed(list) {
				t.Errorf("%s may emit to a %s: %v, documented: %v", role, kind, got, list)
			}
		}
	}
	if len(file.Hubs) != 1 || len(file.Emit) != 4 {
		t.Errorf("documented: %+v", file)
	}
}

func TestDocumentedMetricsAreScraped(t *testing.T) {
	node := start(t)
	ann := node.connect(t, "/hubs/notifications", node.token(t, "ann"))
	node.live(t)
	ann.invoke("SendToSelf", "x")
	n, _ := ann.alert()
	ann.invoke("Ack", n.Cursor)
	get(t, "http://"+node.http+"/hubs/notifications") // refused
	_ = ann.socket.Close()
	var scraped string
	waitFor(t, "closed", func() bool {
		_, scraped = get(t, "http://"+node.ops+"/metrics")
		return strings.Contains(scraped, "signalr_server_connection_duration_seconds_count")
	})
	documented := map[string]string{}
	for _, row := range table(after(t, document(t, "docs/guides/running.md"), "<!-- metrics -->")) {
		documented[row[1]] = row[2]
		if name := strings.ReplaceAll(row[0], ".", "_"); !slices.Contains([]string{"", "_total", "_seconds", "_seconds_total", "_bytes", "_ratio"}, strings.TrimPrefix(row[1], name)) {
			t.Errorf("%s is not %s", row[0], row[1])
		}
	}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE ((?:signalr|rpc|http|messaging|process|notify)_\S+) (\S+)$`).FindAllStringSubmatch(scraped, -1) {
		if documented[found[1]] != found[2] {
			t.Errorf("%s is a %s, documented: %q", found[1], found[2], documented[found[1]])
		}
		delete(documented, found[1])
	}
	for name := range documented {
		t.Errorf("%s is documented and not scraped", name)
	}
}

func TestDocumentedFieldsAreTheFieldsOfAnEvent(t *testing.T) {
	var documented, want []string
	for _, row := range table(after(t, document(t, "docs/guides/events.md"), "## The event")) {
		documented = append(documented, row[0])
	}
	fields := (&tidingsv1.Event{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		want = append(want, fields.Get(i).JSONName())
	}
	slices.Sort(documented)
	slices.Sort(want)
	if !slices.Equal(documented, want) {
		t.Errorf("documented: %v\nwant: %v", documented, want)
	}
}

func TestDocumentedHouseIsTheHouse(t *testing.T) {
	house := document(t, "docs/house.md")
	documented := map[string][]string{}
	for _, row := range table(after(t, house, "## Arrows point down")) {
		documented[row[0]] = strings.Fields(strings.ReplaceAll(row[1], "`", ""))
	}
	if len(documented) != len(below) {
		t.Errorf("documented rooms: %v", slices.Sorted(maps.Keys(documented)))
	}
	for name, rooms := range below {
		if !slices.Equal(documented[name], rooms) {
			t.Errorf("%s may import %v, documented: %v", name, rooms, documented[name])
		}
	}
	for _, row := range table(after(t, house, "## Rooms")) {
		if _, err := os.Stat(filepath.Join(root, row[0])); err != nil {
			t.Errorf("room %s: %v", row[0], err)
		}
	}
}

func TestDocumentedDependenciesAreThoseOfTheModule(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", filepath.Join(root, "go.mod")).Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, r := range mod.Require {
		if r.Indirect {
			continue
		}
		if strings.HasPrefix(r.Path, "go.opentelemetry.io/") {
			r.Path = "go.opentelemetry.io/…"
		}
		want[r.Path] = true
	}
	for _, row := range table(after(t, document(t, "docs/house.md"), "## Direct dependencies")) {
		if !want[row[0]] {
			t.Errorf("%s is documented and is no direct dependency", row[0])
		}
		delete(want, row[0])
	}
	for path := range want {
		t.Errorf("%s is not documented", path)
	}
}

func TestDocumentedTargetsAreThoseOfMake(t *testing.T) {
	contributing := document(t, "CONTRIBUTING.md")
	if lines := strings.Count(contributing, "\n"); lines > 100 {
		t.Errorf("CONTRIBUTING.md has %d lines, want at most 100", lines)
	}
	documented := map[string]bool{}
	for _, row := range table(contributing) {
		documented[strings.TrimPrefix(row[0], "make ")] = true
	}
	for _, found := range regexp.MustCompile(`(?m)^([a-z0-9-]+):.*##`).FindAllStringSubmatch(document(t, "Makefile"), -1) {
		if found[1] != "help" && !documented[found[1]] {
			t.Errorf("make %s is not documented", found[1])
		}
		delete(documented, found[1])
	}
	for name := range documented {
		t.Errorf("make %s is documented and does not exist", name)
	}
}

// Links lead to files that exist.
func TestLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			if name := entry.Name(); name == "node_modules" || name == ".git" {
				return filepath.SkipDir
			}
			return err
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), found[1])); err != nil {
				t.Errorf("%s: link to %s, which does not exist", path, found[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// Every decision has its parts and its line in the list.
func TestDecisionsAreListed(t *testing.T) {
	index := document(t, "docs/adr/README.md")
	files, err := filepath.Glob(filepath.Join(root, "docs/adr/0*.md"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d decisions, %v", len(files), err)
	}
	for _, path := range files {
		name := filepath.Base(path)
		text := document(t, filepath.Join("docs/adr", name))
		for _, part := range []string{"- Date: ", "- Status: ", "## Context", "## Decision", "## Consequences"} {
			if !strings.Contains(text, part) {
				t.Errorf("%s has no %q", name, part)
			}
		}
		if !strings.Contains(index, "("+name+")") {
			t.Errorf("%s is not in the list", name)
		}
	}
}

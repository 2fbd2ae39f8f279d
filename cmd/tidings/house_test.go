package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// below is the house: each room, and the rooms it may import. Arrows point
// down; docs/house.md says why.
var below = map[string][]string{
	"roles":         {},
	"hub/protocol":  {},
	"proto":         {},
	"telemetry":     {},
	"web":           {},
	"connections":   {"roles"},
	"notifications": {"roles"},
	"actors":        {"hub/protocol", "notifications"},
	"persistence":   {"notifications", "proto"},
	"hub":           {"actors", "connections", "hub/protocol", "notifications", "roles"},
	"rest":          {"notifications", "roles"},
	"console":       {"actors", "hub", "notifications", "persistence", "roles", "telemetry"},
}

// owners are the rooms that alone import a heavy dependency, so that replacing
// it changes one room. Roots (cmd, docs/examples) may use what they compose.
var owners = map[string][]string{
	"github.com/golang-jwt/jwt":                     {"roles"},
	"github.com/MicahParks":                         {"roles"},
	"github.com/gorilla/websocket":                  {"connections"},
	"github.com/nats-io":                            {"persistence"},
	"github.com/asynkron/protoactor-go/actor":       {"actors"},
	"github.com/asynkron/protoactor-go/eventstream": {"actors"},
	"go.opentelemetry.io/otel/sdk":                  {"telemetry"},
	"go.opentelemetry.io/otel/exporters":            {"telemetry"},
	"go.opentelemetry.io/contrib":                   {"telemetry"},
	"github.com/prometheus":                         {"telemetry"},
	"google.golang.org/protobuf":                    {"proto", "telemetry"},
	"github.com/alecthomas/kong":                    {"cmd/tidings"},
	"gopkg.in/yaml.v3":                              {"roles", "cmd/tidings"},
	"github.com/google/uuid":                        {"notifications"},
	"github.com/bufbuild/protocompile":              {"proto"},
	"github.com/jackc/pgx":                          {}, // examples alone
	"github.com/asynkron/protoactor-go/remote":      {},
	"github.com/asynkron/protoactor-go/cluster":     {},
	"github.com/asynkron/protoactor-go/router":      {},
	"github.com/asynkron/protoactor-go/plugin":      {},
	"github.com/asynkron/protoactor-go/metrics":     {},
	"github.com/asynkron/protoactor-go/schedule":    {},
}

const module = "tidings/"

// room is where a package of ours lives; a test kit lives with what it tests.
// Roots are in no room: they compose.
func room(path string) (name string, root bool) {
	path = strings.TrimPrefix(path, module)
	if strings.HasPrefix(path, "cmd/") || strings.HasPrefix(path, "docs/") || strings.HasPrefix(path, "deploy/") {
		return path, true
	}
	if strings.HasPrefix(path, "proto/") {
		return "proto", false
	}
	if strings.HasSuffix(path, "test") && strings.Contains(path, "/") {
		return filepath.Dir(path), false
	}
	return path, false
}

type listed struct {
	ImportPath string
	Imports    []string
}

func list(t *testing.T) []listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "./...")
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func TestImportsPointDown(t *testing.T) {
	packages := list(t)
	if len(packages) < len(below) {
		t.Fatalf("go list names %d packages", len(packages))
	}
	for _, p := range packages {
		from, root := room(p.ImportPath)
		allowed, known := below[from]
		if !known && !root {
			t.Errorf("%s is no room of the house: add it to docs/house.md and to this table", p.ImportPath)
		}
		for _, path := range p.Imports {
			if !strings.HasPrefix(path, module) || root {
				if strings.HasPrefix(path, module+"cmd/") && !strings.HasPrefix(path, p.ImportPath+"/") {
					t.Errorf("%s imports %s: nothing imports a program", p.ImportPath, path)
				}
				continue
			}
			if to, _ := room(path); to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s, and %s may import %v only", p.ImportPath, path, from, allowed)
			}
		}
	}
}

func TestEachDependencyHasItsRoom(t *testing.T) {
	for _, p := range list(t) {
		from, _ := room(p.ImportPath)
		if strings.HasPrefix(from, "docs/examples/") {
			continue
		}
		for _, path := range p.Imports {
			for dependency, rooms := range owners {
				if (path == dependency || strings.HasPrefix(path, dependency+"/")) && !slices.Contains(rooms, from) {
					t.Errorf("%s imports %s, which belongs to %v", p.ImportPath, path, rooms)
				}
			}
		}
	}
}

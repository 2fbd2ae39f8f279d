// Package observability_test holds rules, dashboard and collector to what a node
// exposes and the guides explain.
package observability_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exposed are the series that a node has, by the table of the guide, which is
// held to the node by a test of its own.
func exposed(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{"up": true, "go_memory_used_bytes": true, "go_goroutine_count": true}
	for _, row := range regexp.MustCompile("(?m)^\\| `[a-z_.]+` \\| `([a-z_]+)` \\| ([a-z]+) \\|").FindAllStringSubmatch(read(t, "../../docs/guides/running.md"), -1) {
		if row[2] != "histogram" {
			names[row[1]] = true
			continue
		}
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			names[row[1]+suffix] = true
		}
	}
	if len(names) < 30 {
		t.Fatalf("the guide lists %d series only", len(names))
	}
	return names
}

var (
	metric = regexp.MustCompile(`\b(?:notify|signalr|rpc|http|messaging|process|go|instance)[a-z0-9_]*(?::[a-z0-9_:]+)?`)
	labels = regexp.MustCompile(`\{[^}]*\}|(?:by|on) \([^)]*\)`)
)

// unknown are the series of an expression that nobody has.
func unknown(expression string, known map[string]bool) (missing []string) {
	for _, name := range metric.FindAllString(labels.ReplaceAllString(expression, ""), -1) {
		if !known[name] {
			missing = append(missing, name)
		}
	}
	return missing
}

func TestRules(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct {
				Record, Alert, Expr string
				Labels, Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "rules.yml")), &file); err != nil {
		t.Fatal(err)
	}
	known, guide := exposed(t), read(t, "../../docs/guides/operations.md")
	alerts := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if missing := unknown(rule.Expr, known); len(missing) > 0 {
				t.Errorf("%s%s asks for %q, which no node has", rule.Record, rule.Alert, missing)
			}
			if rule.Record != "" {
				known[rule.Record] = true
				continue
			}
			alerts++
			if rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" || !regexp.MustCompile("^(page|ticket|info)$").MatchString(rule.Labels["severity"]) {
				t.Errorf("%s: want a severity, a summary and a description", rule.Alert)
			}
			if rule.Annotations["runbook_url"] != "docs/guides/operations.md#"+strings.ToLower(rule.Alert) || !strings.Contains(guide, "\n### "+rule.Alert+"\n") {
				t.Errorf("%s is not explained in the guide", rule.Alert)
			}
		}
	}
	if explained := strings.Count(guide, "\n### Tidings"); explained != alerts {
		t.Errorf("the guide explains %d alerts, there are %d", explained, alerts)
	}
}

func TestDashboard(t *testing.T) {
	var dashboard struct {
		ID     any `json:"id"`
		UID    string
		Panels []struct {
			ID                       int
			Type, Title, Description string
			FieldConfig              struct{ Defaults struct{ Unit string } }
			Targets                  []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.ID != nil || dashboard.UID == "" || len(dashboard.Panels) < 20 {
		t.Errorf("got id %v, uid %q, %d panels", dashboard.ID, dashboard.UID, len(dashboard.Panels))
	}
	known, seen := exposed(t), map[int]bool{}
	for _, p := range dashboard.Panels {
		if seen[p.ID] {
			t.Errorf("%s: id %d is another panel's, too", p.Title, p.ID)
		}
		seen[p.ID] = true
		if p.Type == "row" {
			continue
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d wants title, description, unit and targets", p.ID)
		}
		for _, target := range p.Targets {
			if missing := unknown(target.Expr, known); len(missing) > 0 {
				t.Errorf("%s asks for %q, which no node has", p.Title, missing)
			}
		}
	}
}

// Every part of a pipeline of the collector is configured, and every part that
// is configured is in a pipeline.
func TestCollector(t *testing.T) {
	var file struct {
		Receivers, Processors, Exporters map[string]any
		Service                          struct {
			Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "collector.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for name, pipeline := range file.Service.Pipelines {
		for kind, parts := range map[string][]string{"receivers": pipeline.Receivers, "processors": pipeline.Processors, "exporters": pipeline.Exporters} {
			for _, part := range parts {
				used[kind+part] = true
				if _, is := map[string]map[string]any{"receivers": file.Receivers, "processors": file.Processors, "exporters": file.Exporters}[kind][part]; !is {
					t.Errorf("pipeline %s: no %s %s", name, kind, part)
				}
			}
		}
	}
	if len(used) != len(file.Receivers)+len(file.Processors)+len(file.Exporters) {
		t.Errorf("%d parts are used, more are configured", len(used))
	}
}

// Prometheus itself accepts the rules, and they fire when they should.
func TestPromtool(t *testing.T) {
	if os.Getenv("TIDINGS_NO_PROMTOOL") == "1" {
		t.Skip("TIDINGS_NO_PROMTOOL is set")
	}
	for _, args := range [][]string{{"check", "rules", "rules.yml"}, {"test", "rules", "rules_test.yml"}} {
		if out, err := exec.CommandContext(t.Context(), "promtool", args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// A collector itself accepts the configuration.
func TestCollectorAcceptsIt(t *testing.T) {
	if os.Getenv("TIDINGS_NO_COLLECTOR") == "1" {
		t.Skip("TIDINGS_NO_COLLECTOR is set")
	}
	command := exec.CommandContext(t.Context(), "../../bin/collector", "validate", "--config", "collector.yaml")
	command.Env = append(os.Environ(), "TIDINGS_OPS=https://node-1.example:9090", "TIDINGS_TOKEN=x.y.z")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("make collector builds it. validate: %v\n%s", err, out)
	}
	if strings.Contains(strings.ToLower(string(out)), "deprecat") {
		t.Errorf("it will not accept it for long: %s", out)
	}
}

//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// madeUp are three rounds of two cases.
func madeUp() []line {
	var lines []line
	for round := 1; round <= 3; round++ {
		drift := float64(round) // what both servers of a round have in common
		for server, cost := range map[string]float64{nameTidings: 1.2, nameLoop: 1, nameCentrifuge: 2, nameSocketIO: 4} {
			lines = append(lines, line{
				Case: "broadcast one 1000×200 B", Round: round, Scenario: "broadcast", Server: server, Version: "v1",
				Figures:   map[string]float64{figureCPU: cost * drift, figureRate: 1e6 / cost / drift},
				ServerUse: use{CPUShare: 0.9}, ClientUse: use{CPUShare: 0.5},
			})
		}
		lines = append(lines, line{
			Case: "jitter 10000", Round: round, Scenario: "jitter", Server: nameTidings, Version: "v1",
			Figures: map[string]float64{"delivered %": 100, "duplicates": drift - 1, "replay p99 ms": 1000 * drift},
		})
	}
	return lines
}

func TestTabulate(t *testing.T) {
	tables := tabulate(madeUp())
	for _, row := range []string{
		"| broadcast one 1000×200 B | server cpu s/M deliveries | 2.40 (1.20–3.60) | ≤ 1.25 × loop | 1.20 | PASS |",
		"| broadcast one 1000×200 B | server cpu s/M deliveries | 2.40 (1.20–3.60) | ≤ 0.80 × centrifuge | 0.60 | PASS |",
		"| broadcast one 1000×200 B | server cpu s/M deliveries | 2.40 (1.20–3.60) | ≤ 0.40 × socketio | 0.30 | PASS |",
		"| jitter 10000 | delivered % | 100 | ≥ 100 | 100 | PASS |",
		"| jitter 10000 | duplicates | 1.00 (0–2.00) | ≤ 0 | 1.00 (0–2.00) | MISS |",
		"| jitter 10000 | replay p99 ms | 2000 (1000–3000) | ≤ 2000 | 2000 (1000–3000) | PASS |",
		"No run failed.",
		"Servers: centrifuge v1, loop v1, socketio v1, tidings v1.",
		"| server, client: share of their cores | 90 %, 50 % | 90 %, 50 % |",
	} {
		if !strings.Contains(tables, row) {
			t.Errorf("no %q in\n%s", row, tables)
		}
	}
}

func TestFailedRunsDoNotCount(t *testing.T) {
	lines := madeUp()
	for i := range lines {
		l := &lines[i]
		if l.Server == nameLoop && l.Round > 1 {
			l.Failed = "1 of 1000 clients are wrong: lost 1\nand more"
		}
		l.Saturated = l.Server == nameTidings && l.Round == 1
	}
	tables := tabulate(lines)
	for _, row := range []string{
		"| ≤ 1.25 × loop | 1.20 | PASS |", // of the first round: a cost counts all the same
		"- broadcast one 1000×200 B, round 2: loop broadcast: 1 of 1000 clients are wrong: lost 1\n",
		"round 1: tidings broadcast: the clients were saturated",
	} {
		if !strings.Contains(tables, row) {
			t.Errorf("no %q in\n%s", row, tables)
		}
	}
	rates := valuesOf(lines, "broadcast one 1000×200 B", nameTidings, figureRate)
	if _, first := rates[1]; first || len(rates) != 2 {
		t.Errorf("saturated clients have no rate: %v", rates)
	}
	for i := range lines {
		lines[i].Failed = "all"
	}
	if tables = tabulate(lines); !strings.Contains(tables, "| – | ≤ 1.25 × loop | – | not measured |") {
		t.Errorf("nothing was measured:\n%s", tables)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestReplaceBetween(t *testing.T) {
	page := "# Benchmarks\n\ntext\n\n<!-- bench-peers -->\nold\n<!-- /bench-peers -->\n\nmore\n"
	want := "# Benchmarks\n\ntext\n\n<!-- bench-peers -->\nnew\n<!-- /bench-peers -->\n\nmore\n"
	if diff := cmp.Diff(want, replaceBetween(page, "new\n")); diff != "" {
		t.Error(diff)
	}
	added := replaceBetween("# Benchmarks\n", "new")
	if diff := cmp.Diff("# Benchmarks\n\n## Beside the peers\n\n<!-- bench-peers -->\nnew\n<!-- /bench-peers -->\n", added); diff != "" {
		t.Error(diff)
	}
	if again := replaceBetween(added, "new"); again != added {
		t.Errorf("a page with marks keeps its shape: %s", again)
	}
}

func TestLinesComeBack(t *testing.T) {
	file := t.TempDir() + "/lines"
	lines := madeUp()[:2]
	for i := range lines {
		if err := lines[i].write(&strings.Builder{}, file); err != nil {
			t.Fatal(err)
		}
	}
	back, err := readLines(file)
	if diff := cmp.Diff(lines, back); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestEveryTrialIsOneThatCanRun(t *testing.T) {
	all := trials(20_000)
	for _, tr := range all {
		var o options
		f := o.flags("test")
		for _, target := range tr.targets {
			if err := f.Parse(append(tr.args, tr.more[target]...)); err != nil || f.NArg() > 0 {
				t.Errorf("%s: %v %v", tr.name, err, f.Args())
			}
		}
		if _, err := scenarioNamed(tr.scenario); err != nil {
			t.Error(err)
		}
	}
	for _, g := range goals() {
		found := false
		for _, tr := range all {
			found = found || g.of(tr.name)
		}
		if !found {
			t.Errorf("no case for %v", g)
		}
	}
	if got := others(madeUp(), all[:1]); len(got) != 3 {
		t.Errorf("others: %d lines", len(got))
	}
	if got := chosen(all, "idle,jitter"); len(got) != 2 {
		t.Errorf("chosen: %d cases", len(got))
	}
	for _, s := range quickly() {
		if _, err := scenarioNamed(s.scenario); err != nil {
			t.Error(err)
		}
	}
}

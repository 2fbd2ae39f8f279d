//go:build linux

package main

import (
	"fmt"
	"strings"
)

// The figures that are compared.
const (
	figureCPU    = "server cpu s/M deliveries"
	figureRate   = "deliveries/s"
	figureEvents = "events/s"
)

// trial is one case of the comparison.
type trial struct {
	name, scenario string
	targets        []string
	args           []string            // of all
	more           map[string][]string // of a target
	figures        []string            // that are told
	unpinned       bool                // the servers have all cores
	longer         float64             // how many times as long as the others, 0 = once
	pace           string              // the figure whose least value is what -rate says
}

// trials are all cases, for a limit of open files.
func trials(files uint64) []trial {
	const most, spare = 50_000, 500
	idlers := fmt.Sprint(min(most, int(files)-spare)) //nolint:gosec // a limit of files is far below
	history := map[string][]string{
		nameCentrifuge: {"-history", "1000"},
		nameTidings:    {"-setting", "--tail-bytes=512MiB"}, // what is missed fits in, as it does in the memory of the other
	}
	all := broadcasts()
	return append(
		all,
		trial{
			name: "idle " + idlers, scenario: "idle", targets: []string{nameTidings, nameCentrifuge},
			args: []string{"-connections", idlers}, figures: []string{"rss bytes/connection", "rss as it settles bytes/connection", "server cpu %", "one event to all s"},
		},
		trial{
			name: "targeted", scenario: "targeted", targets: []string{nameTidings, nameCentrifuge},
			figures: []string{figureEvents, "server cpu µs/event", "paced events/s", "paced p50 ms", "paced p99 ms"}, pace: figureEvents,
		},
		trial{
			name: "mixed 10000", scenario: "mixed", targets: []string{nameTidings},
			args: []string{"-connections", "10000", "-sync", "always"}, figures: []string{"p50 ms", "p99 ms", figureCPU},
		},
		trial{
			name: "replay 10000×50", scenario: "replay", targets: []string{nameTidings, nameCentrifuge}, more: history, unpinned: true,
			args:    []string{"-connections", "10000", "-missed", "50", "-preload", "1000000", "-users", "100000"},
			figures: []string{"replay s", "replay p50 ms", "replay p95 ms", "replay p99 ms", "live quiet p99 ms", "live during p99 ms", "live p99 during/quiet"},
		},
		trial{
			name: "jitter 10000", scenario: "jitter", targets: []string{nameTidings, nameCentrifuge, nameLoop}, more: history, longer: 5,
			args:    []string{"-connections", "10000", "-rate", "500"},
			figures: []string{"delivered %", "duplicates", "cuts", "replay p50 ms", "replay p95 ms", "replay p99 ms", "live p99 ms", "server cpu %"},
		},
	)
}

// broadcasts are the sizes of broadcast in both modes, beside all peers.
func broadcasts() []trial {
	var all []trial
	for _, mode := range []string{modeOne, modeSaturated} {
		for _, connections := range []int{1000, 10_000} {
			for _, size := range []int{200, 1024} {
				all = append(all, trial{
					name: fmt.Sprintf("broadcast %s %d×%d B", mode, connections, size), scenario: "broadcast",
					targets: []string{nameTidings, nameLoop, nameCentrifuge, nameSocketIO, nameGorilla},
					args:    []string{"-mode", mode, "-connections", fmt.Sprint(connections), "-size", fmt.Sprint(size)},
					figures: []string{figureCPU, figureRate, "p50 ms", "p99 ms"},
				})
			}
		}
	}
	return all
}

// goal is what is wanted of Tidings: a figure, or its ratio to a peer's in the
// same round, at most or at least a bound.
type goal struct {
	trial   string // beginning of its name
	figure  string
	against string // a peer; empty for the figure itself
	least   bool   // the bound is the least value, else the most
	bound   float64
}

// goals are what is wanted of Tidings.
func goals() []goal {
	one, saturated := "broadcast "+modeOne, "broadcast "+modeSaturated
	return []goal{
		{one, figureCPU, nameLoop, false, 1.25},
		{one, figureCPU, nameCentrifuge, false, 0.8},
		{one, figureCPU, nameSocketIO, false, 0.4},
		{saturated, figureRate, nameCentrifuge, true, 1.3},
		{saturated, figureRate, nameLoop, true, 0.9},
		{"idle", "rss bytes/connection", "", false, 9 * 1024},
		{"idle", "rss bytes/connection", nameCentrifuge, false, 0.4},
		{"idle", "rss as it settles bytes/connection", nameCentrifuge, false, 0.4}, // whose garbage nobody collects either
		{"targeted", figureEvents, nameCentrifuge, true, 1},
		{"targeted", "paced p99 ms", nameCentrifuge, false, 1},
		{"mixed", "p99 ms", "", false, 50},
		{"replay", "replay s", "", false, 3},
		{"replay", "live p99 during/quiet", "", false, 3},
		{"jitter", "delivered %", "", true, 100},
		{"jitter", "duplicates", "", false, 0},
		{"jitter", "replay p99 ms", "", false, 2000},
	}
}

// of says whether a goal is one of a case.
func (g goal) of(name string) bool { return strings.HasPrefix(name, g.trial) }

// met says whether a value is good enough.
func (g goal) met(value float64) bool {
	if g.least {
		return value >= g.bound
	}
	return value <= g.bound
}

// text is the goal for people.
func (g goal) text() string {
	sign := "≤"
	if g.least {
		sign = "≥"
	}
	text := sign + " " + shown(g.bound)
	if g.against != "" {
		text += " × " + g.against
	}
	return text
}

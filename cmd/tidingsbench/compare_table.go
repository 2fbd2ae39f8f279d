//go:build linux

package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tabulate makes tables of the lines of a comparison: what is wanted and what
// was reached, then all figures, then what failed.
func tabulate(lines []line) string {
	var text strings.Builder
	text.WriteString("Each cell is a median, with the least and the most in parentheses. Ratios are of runs of one round.\n\n")
	text.WriteString("| case | figure | Tidings | target | reached | |\n| --- | --- | --- | --- | --- | --- |\n")
	names := casesOf(lines)
	for _, name := range names {
		for _, g := range goals() {
			if g.of(name) {
				text.WriteString(judged(lines, name, g))
			}
		}
	}
	for _, name := range names {
		text.WriteString("\n" + figuresOf(lines, name))
	}
	text.WriteString(failures(lines))
	text.WriteString("\n" + versions(lines) + "\n")
	return text.String()
}

// casesOf are the cases in the order in which they were run.
func casesOf(lines []line) []string {
	var names []string
	for _, l := range lines {
		if !slices.Contains(names, l.Case) {
			names = append(names, l.Case)
		}
	}
	return names
}

// judged is the row of a goal.
func judged(lines []line, name string, g goal) string {
	own := valuesOf(lines, name, nameTidings, g.figure)
	reached := own
	if g.against != "" {
		reached = ratios(own, valuesOf(lines, name, g.against, g.figure))
	}
	verdict := "MISS"
	values := slices.Collect(maps.Values(reached))
	switch {
	case len(values) == 0:
		verdict = "not measured"
	case g.met(median(values)):
		verdict = "PASS"
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n",
		name, g.figure, spread(slices.Collect(maps.Values(own))), g.text(), spread(values), verdict)
}

// valuesOf are the values of a figure by round. Runs that failed have none, and
// those with saturated clients no rates and no latencies.
func valuesOf(lines []line, name, server, figure string) map[int]float64 {
	values := make(map[int]float64)
	for _, l := range lines {
		if l.Case != name || l.Server != server || l.Failed != "" || l.Saturated && timed(figure) {
			continue
		}
		if value, known := l.Figures[figure]; known {
			values[l.Round] = value
		}
	}
	return values
}

// ratios are those of the rounds that have both values.
func ratios(own, other map[int]float64) map[int]float64 {
	all := make(map[int]float64)
	for round, value := range own {
		if divisor := other[round]; divisor != 0 {
			all[round] = value / divisor
		}
	}
	return all
}

// median is the middle of some values, or the mean of the two in the middle.
// Without any it is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// spread is the median with the least and the most.
func spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	low, high := shown(slices.Min(values)), shown(slices.Max(values))
	if low == high {
		return low
	}
	return fmt.Sprintf("%s (%s–%s)", shown(median(values)), low, high)
}

// figuresOf is the table of a case: a row for each figure that is told, a
// column for each server.
func figuresOf(lines []line, name string) string {
	var servers, told []string
	for _, l := range lines {
		if l.Case != name {
			continue
		}
		if !slices.Contains(servers, l.Server) {
			servers = append(servers, l.Server)
		}
		for figure := range l.Figures {
			if !slices.Contains(told, figure) {
				told = append(told, figure)
			}
		}
	}
	slices.Sort(told)
	var text strings.Builder
	text.WriteString("| " + name + " | " + strings.Join(servers, " | ") + " |\n|" + strings.Repeat(" --- |", len(servers)+1) + "\n")
	for _, figure := range told {
		text.WriteString("| " + figure + " |")
		for _, server := range servers {
			text.WriteString(" " + spread(slices.Collect(maps.Values(valuesOf(lines, name, server, figure)))) + " |")
		}
		text.WriteString("\n")
	}
	text.WriteString("| server, client: share of their cores |")
	for _, server := range servers {
		own, client := shareOf(lines, name, server)
		fmt.Fprintf(&text, " %.0f %%, %.0f %% |", 100*own, 100*client)
	}
	text.WriteString("\n")
	return text.String()
}

// shareOf is how busy both sides were, by median.
func shareOf(lines []line, name, server string) (own, client float64) {
	var owns, clients []float64
	for _, l := range lines {
		if l.Case == name && l.Server == server {
			owns, clients = append(owns, l.ServerUse.CPUShare), append(clients, l.ClientUse.CPUShare)
		}
	}
	return median(owns), median(clients)
}

// failures are the runs that count for nothing, or not for all.
func failures(lines []line) string {
	var text strings.Builder
	for i := range lines {
		if err := lines[i].err(); err != nil {
			reason, _, _ := strings.Cut(err.Error(), "\n")
			fmt.Fprintf(&text, "- %s, round %d: %.300s\n", lines[i].Case, lines[i].Round, reason)
		}
	}
	if text.Len() == 0 {
		return "\nNo run failed.\n"
	}
	return "\nRuns that failed, and do not count (with saturated clients: for rates and latencies):\n\n" + text.String()
}

// versions are those of the servers.
func versions(lines []line) string {
	known := make(map[string]string)
	for _, l := range lines {
		if l.Version != "" {
			known[l.Server] = l.Server + " " + l.Version
		}
	}
	return "Servers: " + strings.Join(slices.Sorted(maps.Values(known)), ", ") + "."
}

// machine says where and when the comparison was made.
func machine() string {
	model := "unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := bytes.Cut(info, []byte("model name"))
		first, _, _ := bytes.Cut(rest, []byte{'\n'})
		if name := strings.Trim(string(first), " \t:"); name != "" {
			model = name
		}
	}
	kernel := "unknown kernel"
	var names unix.Utsname
	if unix.Uname(&names) == nil {
		release, _, _ := strings.Cut(unix.ByteSliceToString(names.Release[:]), "-") // what follows is whose build it is
		kernel = "Linux " + release
	}
	return fmt.Sprintf("Measured on %s by `make bench-peers`: %s, %d cores, %s, %s.",
		time.Now().UTC().Format(time.DateOnly), model, runtime.NumCPU(), kernel, runtime.Version())
}

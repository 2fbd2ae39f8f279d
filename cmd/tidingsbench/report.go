//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// line is what is said of one run of a scenario: a line of JSON.
type line struct {
	Case       string             `json:"case,omitempty"`  // of a comparison
	Round      int                `json:"round,omitempty"` // of a comparison, from 1
	Scenario   string             `json:"scenario"`
	Server     string             `json:"server"`
	Version    string             `json:"version"`
	Parameters map[string]any     `json:"parameters"`
	Figures    map[string]float64 `json:"figures"` // by name and unit
	Checks     checks             `json:"checks"`
	ServerUse  use                `json:"serverProcess"`
	ClientUse  use                `json:"clientProcess"`
	// Saturated clients make rates and latencies theirs, not the server's.
	Saturated bool   `json:"saturated"`
	Failed    string `json:"failed,omitempty"`
}

// checks are what was compared with what the server had acknowledged.
type checks struct {
	Acknowledged uint64 `json:"acknowledged"` // events
	Expected     uint64 `json:"expected"`     // deliveries
	Heard        uint64 `json:"heard"`
	Missing      uint64 `json:"missing"`
	Duplicates   uint64 `json:"duplicates"`
	Reordered    uint64 `json:"reordered"`
	Gaps         uint64 `json:"gaps"`
	Misrouted    uint64 `json:"misrouted"`
	Truncated    uint64 `json:"truncated"`
	Malformed    uint64 `json:"malformed"`
	Backwards    uint64 `json:"backwards"` // positions that did not grow
	Ended        uint64 `json:"ended"`     // connections, unasked
	Refused      uint64 `json:"refused"`   // connections
}

// use is what a process has used.
type use struct {
	Cores      string  `json:"cores"`
	CPUSeconds float64 `json:"cpuSeconds"` // in what was measured
	CPUShare   float64 `json:"cpuShare"`   // of its cores, in its busiest phase
	Resident   float64 `json:"rssBytes"`   // at the end
	Anonymous  float64 `json:"rssAnonBytes"`
}

// A process is saturated when it uses more than this share of its cores. The
// clients' bound is lower: they are to be in doubt first.
const (
	clientSaturated = 0.90
	serverSaturated = 0.95
)

// saturates says whether it were the clients that bounded a phase. When the
// server could not do more either, it is the server that was measured.
func saturates(client, server float64) bool {
	return client > clientSaturated && server < serverSaturated
}

// err says why the run counts for nothing, or for no rate and no latency.
func (l *line) err() error {
	switch {
	case l.Failed != "":
		return fmt.Errorf("%s %s: %s", l.Server, l.Scenario, l.Failed)
	case l.Saturated:
		return fmt.Errorf("%s %s: the clients were saturated (%.0f %% of their cores, the server %.0f %%)",
			l.Server, l.Scenario, 100*l.ClientUse.CPUShare, 100*l.ServerUse.CPUShare)
	}
	return nil
}

// timed says whether a figure is a rate or a time, which saturated clients
// spoil.
func timed(figure string) bool {
	return strings.HasSuffix(figure, "/s") || strings.HasSuffix(figure, " ms") || strings.HasSuffix(figure, " s")
}

// write appends the line to a program's input, and to a file if one is named.
func (l *line) write(out io.Writer, file string) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if _, err = out.Write(text); err != nil || file == "" {
		return err
	}
	kept, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	_, err = kept.Write(text)
	if closed := kept.Close(); err == nil {
		err = closed
	}
	return err
}

// table writes the line for people.
func (l *line) table(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "\n%s\t%s %s\t\n", l.Scenario, l.Server, l.Version) // Flush tells
	for _, name := range slices.Sorted(maps.Keys(l.Parameters)) {
		_, _ = fmt.Fprintf(t, "  %s\t%v\t\n", name, l.Parameters[name])
	}
	for _, name := range slices.Sorted(maps.Keys(l.Figures)) {
		_, _ = fmt.Fprintf(t, "  %s\t%s\t*\n", name, shown(l.Figures[name]))
	}
	_, _ = fmt.Fprintf(t, "  checked\t%d deliveries of %d events\t\n", l.Checks.Heard, l.Checks.Acknowledged)
	for _, p := range []struct {
		name string
		use
	}{{"server", l.ServerUse}, {"clients", l.ClientUse}} {
		_, _ = fmt.Fprintf(t, "  %s\t%.2f s on cores %s, %.0f %%, %.0f MB\t\n", p.name, p.CPUSeconds, p.Cores, 100*p.CPUShare, p.Resident/1e6)
	}
	if err := l.err(); err != nil {
		_, _ = fmt.Fprintf(t, "  FAILED\t%v\t\n", err)
	}
	return t.Flush()
}

// shown is a number with three digits that count.
func shown(value float64) string {
	switch size := max(value, -value); {
	case size == 0 || size >= 100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case size >= 10:
		return strconv.FormatFloat(value, 'f', 1, 64)
	case size >= 0.1:
		return strconv.FormatFloat(value, 'f', 2, 64)
	}
	return strconv.FormatFloat(value, 'g', 2, 64)
}

// quantile is the least sample that a share of all samples does not exceed.
// They are sorted; without any it is 0.
func quantile(sorted []time.Duration, share float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(share*float64(len(sorted)) + 0.9999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// perSecond is the rate of n in a time.
func perSecond(n uint64, took time.Duration) float64 {
	return float64(n) / max(took, time.Nanosecond).Seconds()
}

//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comparison is what the command line of compare asks for.
type comparison struct {
	cases, out, results      string
	rounds                   int
	seconds                  float64
	serverCPU, clientCPU     string
	tidings, peers, socketio string
	self                     string
	talk                     io.Writer
}

// compare measures servers beside each other: of each case A B C, A B C and so
// on, each time a fresh server and fresh clients. Ratios are of one round, so
// that a machine that drifts does so for both.
func compare(ctx context.Context, args []string, talk io.Writer) error {
	c := comparison{talk: talk}
	f := flag.NewFlagSet("tidingsbench compare", flag.ContinueOnError)
	f.StringVar(&c.cases, "cases", "", "the cases, by the beginning of their names, separated by commas; empty = all")
	f.StringVar(&c.out, "out", "", "the page whose tables are replaced; empty = standard error only")
	f.StringVar(&c.results, "results", "bin/bench-results.jsonl", "the file that takes the raw lines")
	f.IntVar(&c.rounds, "rounds", 5, "how often each server is measured")
	f.Float64Var(&c.seconds, "seconds", 4, "how long a load lasts")
	f.StringVar(&c.serverCPU, "server-cpu", "0", "cores of the servers")
	f.StringVar(&c.clientCPU, "client-cpu", "1", "cores of the clients")
	f.StringVar(&c.tidings, "tidings", "bin/tidings", "the server")
	f.StringVar(&c.peers, "peers", "bin/peers", "the program with the peers")
	f.StringVar(&c.socketio, "socketio", "cmd/tidingsbench/peers/socketio/server.mjs", "the Socket.IO server")
	keep := f.Bool("keep", false, "keep the raw lines of cases that are not measured now; else the file begins anew")
	read := f.String("read", "", "measure nothing: make the tables of this file of raw lines")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *read != "" {
		lines, err := readLines(*read)
		if err != nil {
			return err
		}
		return c.publish(lines)
	}
	var err error
	if c.self, err = os.Executable(); err != nil {
		return err
	}
	files, err := raiseFiles()
	if err != nil {
		return err
	}
	all := chosen(trials(files), c.cases)
	var kept []line
	if *keep {
		if kept, err = readLines(c.results); err != nil {
			return err
		}
	}
	if kept, err = c.begin(others(kept, all)); err != nil {
		return err
	}
	lines, err := c.run(ctx, all)
	return errors.Join(err, c.publish(append(kept, lines...)))
}

// others are the lines of cases that are not among some.
func others(lines []line, some []trial) []line {
	return slices.DeleteFunc(lines, func(l line) bool {
		return slices.ContainsFunc(some, func(t trial) bool { return t.name == l.Case })
	})
}

// begin makes the file of raw lines anew, with some that are kept.
func (c *comparison) begin(kept []line) ([]line, error) {
	if err := os.Remove(c.results); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	for i := range kept {
		if err := kept[i].write(io.Discard, c.results); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// chosen are the trials whose names begin with one of those asked for.
func chosen(all []trial, names string) []trial {
	if names == "" {
		return all
	}
	return slices.DeleteFunc(all, func(t trial) bool {
		for name := range strings.SplitSeq(names, ",") {
			if strings.HasPrefix(t.name, name) {
				return false
			}
		}
		return true
	})
}

// run measures. A run that fails is a line that says so, and the others go on.
func (c *comparison) run(ctx context.Context, all []trial) ([]line, error) {
	var lines []line
	began := time.Now()
	for _, t := range all {
		rate := c.pace(ctx, t)
		for round := 1; round <= c.rounds; round++ {
			for _, target := range t.targets {
				if ctx.Err() != nil {
					return lines, ctx.Err()
				}
				l := c.one(ctx, t, target, rate...)
				l.Case, l.Round = t.name, round
				if err := l.write(io.Discard, c.results); err != nil {
					return lines, err
				}
				lines = append(lines, l)
				_, _ = fmt.Fprintf(c.talk, "%7s  %s, round %d, %s: %s\n", time.Since(began).Round(time.Second), t.name, round, target, c.brief(t, l))
			}
		}
	}
	return lines, nil
}

// brief is a line as it goes by.
func (c *comparison) brief(t trial, l line) string {
	if err := l.err(); err != nil {
		return "FAILED: " + err.Error()
	}
	var parts []string
	for _, name := range t.figures {
		parts = append(parts, name+" "+shown(l.Figures[name]))
	}
	return strings.Join(parts, ", ")
}

// pace finds the rate at half of which the servers of a trial are compared: the
// one that the slowest of them has reached.
func (c *comparison) pace(ctx context.Context, t trial) []string {
	if t.pace == "" {
		return nil
	}
	slowest := 0.0
	for _, target := range t.targets {
		if l := c.one(ctx, t, target); l.Figures[t.pace] > 0 && (slowest == 0 || l.Figures[t.pace] < slowest) {
			slowest = l.Figures[t.pace]
		}
	}
	return []string{"-rate", strconv.FormatFloat(slowest, 'f', 0, 64)}
}

// one runs this program for one scenario, so that nothing of one run is left in
// the next.
func (c *comparison) one(ctx context.Context, t trial, target string, more ...string) line {
	const longest = 10 * time.Minute
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	args := []string{
		"-scenario", t.scenario, "-target", target, "-tidings", c.tidings, "-peers", c.peers, "-socketio", c.socketio,
		"-seconds", strconv.FormatFloat(c.seconds*max(t.longer, 1), 'f', -1, 64),
	}
	if !t.unpinned {
		args = append(args, "-server-cpu", c.serverCPU, "-client-cpu", c.clientCPU)
	}
	args = slices.Concat(args, t.args, t.more[target], more)
	command := exec.CommandContext(ctx, c.self, args...) //nolint:gosec // ourselves
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = patience
	var talk bytes.Buffer
	command.Stderr = &talk
	out, ran := command.Output()
	l := line{Scenario: t.scenario, Server: target}
	if err := json.Unmarshal(out, &l); err != nil {
		l.Failed = fmt.Sprintf("no line: %v: %s", errors.Join(ran, err), tail(talk.Bytes()))
	}
	return l
}

// tail is the end of what a program has said.
func tail(text []byte) string {
	const enough = 300
	return string(bytes.TrimSpace(text[max(len(text)-enough, 0):]))
}

func readLines(file string) ([]line, error) {
	f, err := os.Open(file) //nolint:gosec // the user names the file
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was read only
	var lines []line
	scanner := bufio.NewScanner(f)
	for scanner.Buffer(nil, 1<<20); scanner.Scan(); {
		var l line
		if err = json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, len(lines)+1, err)
		}
		lines = append(lines, l)
	}
	return lines, scanner.Err()
}

// publish prints the tables and puts them into the page. It is an error that a
// run has failed.
func (c *comparison) publish(lines []line) error {
	if len(lines) == 0 {
		return errors.New("nothing was measured")
	}
	tables := tabulate(lines)
	if _, err := io.WriteString(c.talk, "\n"+tables); err != nil {
		return err
	}
	if c.out != "" {
		page, err := os.ReadFile(c.out)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		text := replaceBetween(string(page), machine()+"\n\n"+tables)
		if err = os.WriteFile(c.out, []byte(text), 0o600); err != nil { //nolint:gosec // the user names the page
			return err
		}
	}
	failed := 0 // saturated clients are told in the tables, and are no fault of anybody's
	for i := range lines {
		if lines[i].Failed != "" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d runs failed", failed, len(lines))
	}
	return nil
}

// The marks of a page between which the tables stand.
const (
	tablesBegin = "<!-- bench-peers -->"
	tablesEnd   = "<!-- /bench-peers -->"
)

// replaceBetween puts tables between the marks, which are added at the end of a
// page without them.
func replaceBetween(page, tables string) string {
	before, rest, found := strings.Cut(page, tablesBegin)
	_, after, ended := strings.Cut(rest, tablesEnd)
	if !found || !ended {
		before, after = strings.TrimRight(page, "\n")+"\n\n## Beside the peers\n\n", "\n"
	}
	return before + tablesBegin + "\n" + strings.TrimSpace(tables) + "\n" + tablesEnd + after
}

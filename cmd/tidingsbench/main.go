// Command tidingsbench measures a server over the wire. It starts the server it
// is told to, loads it from its own process and prints one JSON line per
// scenario and a table at the end:
//
//	go run ./cmd/tidingsbench -server bin/tidings -conformance bin/conformance
//
// Every scenario counts what was acknowledged by the log against what was
// heard, and holds every answer against its question: a fast run that lost
// something has failed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"text/tabwriter"
	"time"
)

// load is what the command line asks for.
type load struct {
	server      string
	conformance string
	only        string
	connections int
	idle        int
	seconds     time.Duration
	rate        int
}

func main() {
	var l load
	flag.StringVar(&l.server, "server", "bin/tidings", "the server to start")
	flag.StringVar(&l.conformance, "conformance", "bin/conformance", "the server of the echo scenarios: docs/examples/conformance")
	flag.StringVar(&l.only, "run", "", "measure only the scenarios whose name matches this regular expression")
	flag.IntVar(&l.connections, "connections", 1000, "connections that hear events")
	flag.IntVar(&l.idle, "idle", 5000, "connections that hear nothing")
	flag.DurationVar(&l.seconds, "for", 5*time.Second, "how long each load lasts")
	flag.IntVar(&l.rate, "rate", 1000, "personal events per second of the paced load")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := l.run(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tidingsbench:", err)
		os.Exit(1)
	}
}

// scenarios in the order in which they run, each on a server of its own.
func (l load) scenarios() []scenario {
	return []scenario{
		{"append", "batches of 100 over HTTP, embedded log, sync=interval", l.tidings("--sync", "interval"), l.append},
		{"append-sync", "the same, sync=always", l.tidings("--sync", "always"), l.append},
		{"personal", "one recipient each, paced", l.tidings(), l.personal},
		{"broadcast", "everyone, as fast as the log takes them", l.tidings(), l.broadcast},
		{"idle", "WebSockets that hear nothing", l.tidings(), l.idleOver(manner{})},
		{"idle-sse", "event streams that hear nothing", l.tidings(), l.idleOver(manner{transport: eventStream})},
		{"idle-longpoll", "polls that wait", l.tidings(), l.idleOver(manner{transport: longPolling})},
		{"idle-reconnect", "WebSockets that may come back", l.tidings(), l.idleOver(manner{transport: lastingSocket})},
		{"replay", "all connections cut and back at once", l.tidings(), l.replay},
		{"echo-json", "calls that are answered with their argument", l.program(), l.echo(jsonCalls{})},
		{"echo-messagepack", "the same, in MessagePack", l.program(), l.echo(packCalls{})},
	}
}

// tidings starts the server, with settings.
func (l load) tidings(settings ...string) starter {
	return func(ctx context.Context) (*server, error) { return startTidings(ctx, l.server, settings...) }
}

// program starts the hub that has a method to call.
func (l load) program() starter {
	return func(ctx context.Context) (*server, error) { return startConformance(ctx, l.conformance) }
}

type starter func(context.Context) (*server, error)

type scenario struct {
	name, about string
	start       starter
	run         func(context.Context, *server) (figures, error)
}

// figures are what a scenario measured, by name and unit.
type figures map[string]float64

func (l load) run(ctx context.Context, out io.Writer) error {
	wanted, err := regexp.Compile(l.only)
	if err != nil {
		return err
	}
	var errs []error
	var rows strings.Builder
	for _, s := range l.scenarios() {
		if !wanted.MatchString(s.name) {
			continue
		}
		measured, failed := s.measure(ctx)
		if failed != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, failed))
			continue
		}
		if err = s.print(out, measured); err != nil {
			return err
		}
		for name, value := range sorted(measured) {
			rows.WriteString(s.name + "\t" + name + "\t" + shown(value) + "\n")
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err = fmt.Fprintf(table, "\n%s", rows.String())
	return errors.Join(append(errs, err, table.Flush())...)
}

// print writes what a program reads.
func (s scenario) print(out io.Writer, measured figures) error {
	line, err := json.Marshal(map[string]any{"scenario": s.name, "about": s.about, "figures": measured})
	if err == nil {
		_, err = fmt.Fprintf(out, "%s\n", line)
	}
	return err
}

func (s scenario) measure(ctx context.Context) (figures, error) {
	node, err := s.start(ctx)
	if err != nil {
		return nil, err
	}
	measured, err := s.run(ctx, node)
	return measured, errors.Join(err, node.stop())
}

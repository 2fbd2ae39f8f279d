// Command tidingsbench measures a server over the wire. It starts the server it
// is told to, loads it from its own process and prints one JSON line per
// scenario and a table at the end:
//
//	go run ./cmd/tidingsbench -server bin/tidings
//
// Every scenario counts what was acknowledged by the log against what was
// heard: a fast run that lost something has failed.
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
	"strings"
	"text/tabwriter"
	"time"
)

// load is what the command line asks for.
type load struct {
	server      string
	connections int
	idle        int
	seconds     time.Duration
	rate        int
}

func main() {
	var l load
	flag.StringVar(&l.server, "server", "bin/tidings", "the server to start")
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
		{"append", "batches of 100 over HTTP, embedded log, sync=interval", []string{"--sync", "interval"}, l.append},
		{"append-sync", "the same, sync=always", []string{"--sync", "always"}, l.append},
		{"personal", "one recipient each, paced", nil, l.personal},
		{"broadcast", "everyone, as fast as the log takes them", nil, l.broadcast},
		{"idle", "memory of connections that hear nothing", nil, l.idleMemory},
		{"replay", "all connections cut and back at once", nil, l.replay},
	}
}

type scenario struct {
	name, about string
	settings    []string
	run         func(context.Context, *server) (figures, error)
}

// figures are what a scenario measured, by name and unit.
type figures map[string]float64

func (l load) run(ctx context.Context, out io.Writer) error {
	var errs []error
	var rows strings.Builder
	for _, s := range l.scenarios() {
		measured, err := s.measure(ctx, l.server)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.name, err))
			continue
		}
		line, err := json.Marshal(map[string]any{"scenario": s.name, "about": s.about, "figures": measured})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s\n", line); err != nil {
			return err
		}
		for name, value := range sorted(measured) {
			rows.WriteString(s.name + "\t" + name + "\t" + shown(value) + "\n")
		}
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, err := fmt.Fprintf(table, "\n%s", rows.String())
	return errors.Join(append(errs, err, table.Flush())...)
}

func (s scenario) measure(ctx context.Context, binary string) (figures, error) {
	node, err := startServer(ctx, binary, s.settings...)
	if err != nil {
		return nil, err
	}
	measured, err := s.run(ctx, node)
	return measured, errors.Join(err, node.stop())
}

//go:build linux

// Command tidingsbench measures a server over the wire. It starts the server it
// is told to, loads it from its own process and prints one JSON line per
// scenario, and a table for people to standard error:
//
//	go run ./cmd/tidingsbench -scenario broadcast -connections 10000
//	go run ./cmd/tidingsbench -scenario broadcast -target centrifuge -server-cpu 0 -client-cpu 1
//	go run ./cmd/tidingsbench -suite quick
//	go run ./cmd/tidingsbench compare -rounds 5
//
// Every scenario holds what was heard against what the server had acknowledged,
// and every answer against its question: a fast run that lost something,
// doubled it, told it to somebody else or out of order has failed. So has one
// with too few samples, and one whose clients were busier than the server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

// options are what the command line asks for.
type options struct {
	scenarioName, suite, target, json, profile string

	tidings, peers, socketio, conformance string // the programs
	settings                              words
	sync, encoding                        string
	history                               int

	serverCPU, clientCPU string
	loops, dialing       int

	connections, size, window, emitters, batch int
	mode                                       string
	rate                                       float64
	preload, users, missed, live, samples      int
	seconds, every, away, patience             time.Duration
}

// words is a flag that may be repeated.
type words []string

// String implements flag.Value.
func (w *words) String() string { return strings.Join(*w, " ") }

// Set implements flag.Value.
func (w *words) Set(word string) error {
	*w = append(*w, word)
	return nil
}

// seconds is a flag that counts them.
type seconds time.Duration

// String implements flag.Value.
func (s *seconds) String() string { return fmt.Sprint(time.Duration(*s).Seconds()) }

// Set implements flag.Value.
func (s *seconds) Set(text string) error {
	d, err := time.ParseDuration(text + "s")
	if err == nil && d <= 0 {
		err = errors.New("not more than 0")
	}
	*s = seconds(d)
	return err
}

// flags are those of a run. Those of a comparison hand them on.
func (o *options) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&o.scenarioName, "scenario", "broadcast", "what to measure: "+scenarioNames())
	f.StringVar(&o.suite, "suite", "", "measure several scenarios instead: quick")
	f.StringVar(&o.target, "target", nameTidings, "whom to measure: tidings, loop, gorilla, centrifuge, socketio")
	f.StringVar(&o.json, "json", "", "append the lines to this file, too")
	f.StringVar(&o.profile, "profile", "", "write a CPU profile of Tidings to this file")
	f.StringVar(&o.tidings, "tidings", "bin/tidings", "the server")
	f.StringVar(&o.peers, "peers", "bin/peers", "the program with the peers")
	f.StringVar(&o.socketio, "socketio", "cmd/tidingsbench/peers/socketio/server.mjs", "the Socket.IO server, which node runs")
	f.StringVar(&o.conformance, "conformance", "bin/conformance", "the server of invoke: docs/examples/conformance")
	f.Var(&o.settings, "setting", "another argument of tidings serve; may be repeated")
	f.StringVar(&o.sync, "sync", "interval", "when Tidings flushes its log: always or interval")
	f.StringVar(&o.encoding, "encoding", "json", "what clients of Tidings speak: json or messagepack")
	f.IntVar(&o.history, "history", 0, "events per channel that Centrifuge keeps; with them it recovers")
	f.StringVar(&o.serverCPU, "server-cpu", "", "cores of the server, such as 0 or 0,2-3; empty = all")
	f.StringVar(&o.clientCPU, "client-cpu", "", "cores of the clients; empty = all")
	f.IntVar(&o.loops, "loops", 1, "goroutines that drive clients")
	f.IntVar(&o.dialing, "dialing", 256, "connects under way at once")
	f.IntVar(&o.connections, "connections", 1000, "connections")
	f.IntVar(&o.size, "size", 200, "bytes of the data of an event")
	f.StringVar(&o.mode, "mode", modeOne, "of broadcast: one or saturated")
	f.IntVar(&o.window, "window", 64, "events under way of a saturated broadcast")
	f.IntVar(&o.emitters, "emitters", 4, "requests under way at once")
	f.IntVar(&o.batch, "batch", 100, "events of a request, of append and targeted")
	f.Float64Var(&o.rate, "rate", 0, "personal events per second of paced loads; targeted is paced at half of it; 0 = as the scenario likes")
	f.IntVar(&o.preload, "preload", 0, "events in the log before a replay")
	f.IntVar(&o.users, "users", 0, "users that have them; at least as many as connections")
	f.IntVar(&o.missed, "missed", 50, "events that every client of a replay misses")
	f.IntVar(&o.live, "live", 200, "clients that stay during a replay")
	f.IntVar(&o.samples, "samples", -1, "fewest samples that are enough; -1 = as the scenario says")
	o.seconds, o.every, o.away, o.patience = 4*time.Second, 15*time.Second, 2*time.Second, patience
	f.Var((*seconds)(&o.seconds), "seconds", "how long a load lasts")
	f.Var((*seconds)(&o.every), "every", "seconds between the cuts of a client of jitter")
	f.Var((*seconds)(&o.away), "away", "seconds that it stays away")
	f.Var((*seconds)(&o.patience), "patience", "seconds after which what has not been heard is lost")
	return f
}

func scenarioNames() string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "tidingsbench:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out, talk io.Writer) error {
	if len(args) > 0 && args[0] == "compare" {
		return compare(ctx, args[1:], talk)
	}
	var o options
	f := o.flags("tidingsbench")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("what is %q?", f.Arg(0))
	}
	if err := o.validate(); err != nil {
		return err
	}
	if err := pinSelf(o.clientCPU); err != nil {
		return err
	}
	if _, err := raiseFiles(); err != nil {
		return err
	}
	switch o.suite {
	case "":
		return o.report(ctx, out, talk)
	case "quick":
		return o.quick(ctx, out, talk)
	}
	return fmt.Errorf("no suite is called %q; there is quick", o.suite)
}

func (o options) validate() error {
	const leastSize = 100 // a mark with all that is in it
	for name, value := range map[string]int{
		"loops": o.loops, "dialing": o.dialing, "connections": o.connections, "window": o.window, "emitters": o.emitters,
		"batch": o.batch, "missed": o.missed, "live": o.live,
	} {
		if value < 1 {
			return fmt.Errorf("-%s %d: want at least 1", name, value)
		}
	}
	switch {
	case o.size < leastSize:
		return fmt.Errorf("-size %d: want at least %d", o.size, leastSize)
	case o.encoding != "json" && o.encoding != "messagepack":
		return fmt.Errorf("-encoding %q: want json or messagepack", o.encoding)
	case o.preload < 0 || o.users < 0 || o.history < 0 || o.rate < 0:
		return errors.New("-preload, -users, -history and -rate are not less than 0")
	}
	return nil
}

// report measures one scenario and says what came of it.
func (o options) report(ctx context.Context, out, talk io.Writer) error {
	s, err := scenarioNamed(o.scenarioName)
	if err != nil {
		return err
	}
	l := o.measure(ctx, s)
	if err = errors.Join(l.write(out, o.json), l.table(talk)); err != nil {
		return err
	}
	return l.err()
}

// quick measures every scenario at a small size. It goes on after a failure.
func (o options) quick(ctx context.Context, out, talk io.Writer) error {
	var errs []error
	for _, step := range quickly() {
		small := o
		small.seconds = time.Second
		small.scenarioName = step.scenario
		step.set(&small)
		if err := small.report(ctx, out, talk); err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// step is a scenario of a suite, and how it differs from the defaults.
type step struct {
	scenario string
	set      func(*options)
}

func quickly() []step {
	return []step{
		{"append", func(*options) {}},
		{"append", func(o *options) { o.sync = "always" }},
		{"connect", func(*options) {}},
		{"idle", func(*options) {}},
		{"broadcast", func(*options) {}},
		{"broadcast", func(o *options) { o.mode = modeSaturated }},
		{"broadcast", func(o *options) { o.mode, o.encoding = modeSaturated, "messagepack" }},
		{"targeted", func(*options) {}},
		{"roles", func(*options) {}},
		{"mixed", func(o *options) { o.sync = "always" }},
		{"replay", func(o *options) { o.preload, o.users = 10_000, 2000 }},
		{"churn", func(*options) {}},
		{"jitter", func(o *options) { o.seconds, o.every, o.away = 4*time.Second, 2*time.Second, 300*time.Millisecond }},
		{"transports", func(*options) {}},
		{"invoke", func(*options) {}},
	}
}

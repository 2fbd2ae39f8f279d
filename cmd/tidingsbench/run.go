//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"tidings/cmd/tidingsbench/fleet"
)

// patience is how long anything may take that should take no time, unless -patience
// says so of what is to be heard.
const patience = 30 * time.Second

// scenario is one way to load a server.
type scenario struct {
	name, about string
	// samples are the fewest latencies from which a quantile is told.
	samples int
	run     func(ctx context.Context, b *bench) error
	// alone scenarios start their servers themselves.
	alone bool
}

// scenarios are all there are.
func scenarios() []scenario {
	return []scenario{
		{name: "append", about: "batches, as fast as they are acknowledged", run: store},
		{name: "connect", about: "clients connect as fast as they can", samples: 200, run: connectAll},
		{name: "idle", about: "connections that hear nothing", run: idle},
		{name: "broadcast", about: "events for everyone", samples: 1000, run: broadcast},
		{name: "targeted", about: "events for one user each", samples: 1000, run: targeted},
		{name: "roles", about: "everyone, roles, groups and users", samples: 1000, run: mixedRecipients},
		{name: "mixed", about: "a few broadcasts and many personal events, paced", samples: 1000, run: mixedPace},
		{name: "replay", about: "clients are cut, miss events and return at once", samples: 100, run: replay},
		{name: "churn", about: "clients come and go while events flow", samples: 200, run: churn},
		{name: "jitter", about: "every client is cut now and then while events flow", samples: 200, run: jitter},
		{name: "transports", about: "what an idle connection costs, by transport", run: transports, alone: true},
		{name: "invoke", about: "calls that are answered with their argument", samples: 1000, run: invoke, alone: true},
	}
}

func scenarioNamed(name string) (scenario, error) {
	var names []string
	for _, s := range scenarios() {
		if s.name == name {
			return s, nil
		}
		names = append(names, s.name)
	}
	return scenario{}, fmt.Errorf("no scenario is called %q; there are %s", name, strings.Join(names, ", "))
}

// bench is one run of a scenario: a server of its own, clients, and what was
// told to them.
type bench struct {
	options

	scenario scenario
	server   *target
	fleet    *fleet.Fleet
	ledger   *ledger
	line     *line
	cores    []int // of the clients
}

// measure runs a scenario. What went wrong is in the line.
func (o options) measure(ctx context.Context, s scenario) *line {
	b := &bench{options: o, scenario: s, ledger: newLedger(), line: &line{
		Scenario: s.name, Server: o.target, Parameters: make(map[string]any), Figures: make(map[string]float64),
	}}
	err := b.open(ctx)
	if err == nil {
		err = s.run(ctx, b)
	}
	if b.fleet != nil && errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(err, b.fleet.Check(b.ledger.lasts())) // what it was that did not come
	}
	if err = errors.Join(err, b.close()); err != nil {
		b.line.Failed = err.Error()
	}
	return b.line
}

func (b *bench) open(ctx context.Context) error {
	var err error
	if b.cores, err = affinity(); err != nil || b.scenario.alone {
		return err
	}
	if b.server, err = b.startTarget(ctx); err != nil {
		return err
	}
	b.line.Version = b.server.version
	return b.gather()
}

// gather makes a fleet for the server.
func (b *bench) gather() (err error) {
	const sources = 16 // enough for the ports that churn leaves behind
	b.fleet, err = fleet.New(fleet.Options{
		Addr: b.server.http, Dialect: b.server.dialect, Loops: b.loops, Dialing: b.dialing, Sources: sources, Recover: b.server.recovers,
	})
	return err
}

// close notes what the checks have counted, and ends what open began.
func (b *bench) close() error {
	var errs []error
	if b.fleet != nil {
		b.line.Checks = b.checked()
		errs = append(errs, b.fleet.Close())
	}
	if b.server != nil {
		server, serverErr := memoryOf(b.server.pid())
		b.line.ServerUse.Resident, b.line.ServerUse.Anonymous = server.resident, server.anonymous
		own, ownErr := memoryOf(os.Getpid())
		b.line.ClientUse.Resident, b.line.ClientUse.Anonymous = own.resident, own.anonymous
		errs = append(errs, serverErr, ownErr, b.server.stop())
	}
	return errors.Join(errs...)
}

func (b *bench) checked() checks {
	s := b.fleet.Stats()
	_, missing := b.fleet.Tally(b.ledger.lasts())
	return checks{
		Acknowledged: b.ledger.count(), Expected: b.ledger.due(), Heard: s.Marks, Missing: missing,
		Duplicates: s.Duplicates, Reordered: s.Reordered, Gaps: s.Gaps, Misrouted: s.Misrouted, Truncated: s.Truncated,
		Malformed: s.Malformed, Backwards: s.Backwards, Ended: s.Ended, Refused: s.Refused,
	}
}

// cost is what a phase of a run took, and used of server and clients.
type cost struct{ took, server, client time.Duration }

// phase runs what is to be measured.
func (b *bench) phase(ctx context.Context, work func() error) (cost, error) {
	profiled := b.startProfile(ctx)
	began, server, client, err := b.clocks()
	if err != nil {
		return cost{}, err
	}
	if err = work(); err != nil {
		return cost{}, err
	}
	now, serverNow, clientNow, err := b.clocks()
	c := cost{now.Sub(began), serverNow - server, clientNow - client}
	b.note(c)
	return c, errors.Join(err, <-profiled)
}

// startProfile asks Tidings for a profile of the first phase, if one is wanted.
// What it costs is in the figures.
func (b *bench) startProfile(ctx context.Context) <-chan error {
	written := make(chan error, 1)
	if b.profile == "" || b.server.ops == "" {
		close(written)
		return written
	}
	file := b.profile
	b.profile = ""
	go func() {
		profile, err := b.server.profile(ctx, fmt.Sprintf("profile?seconds=%d", max(int(b.seconds.Seconds()), 1)))
		if err == nil {
			err = os.WriteFile(file, profile, 0o600)
		}
		written <- err
	}()
	return written
}

//nolint:revive // three clocks that are read together
func (b *bench) clocks() (now time.Time, server, client time.Duration, err error) {
	if server, err = cpuTime(b.server.pid()); err == nil {
		client, err = cpuTime(os.Getpid())
	}
	return time.Now(), server, client, err
}

// note adds a phase to the line, and judges whether it was the server that was
// measured. What is over in a moment is too short for that.
func (b *bench) note(c cost) {
	const moment = 100 * time.Millisecond
	share := func(used time.Duration, cores int) float64 {
		return float64(used) / float64(c.took) / float64(max(cores, 1))
	}
	server, client := share(c.server, len(b.server.cpus)), share(c.client, len(b.cores))
	s, l := &b.line.ServerUse, &b.line.ClientUse
	s.Cores, l.Cores = formatCPUs(b.server.cpus), formatCPUs(b.cores)
	s.CPUSeconds += c.server.Seconds()
	l.CPUSeconds += c.client.Seconds()
	if c.took >= moment {
		s.CPUShare, l.CPUShare = max(s.CPUShare, server), max(l.CPUShare, client)
		b.line.Saturated = b.line.Saturated || saturates(client, server)
	}
}

func (b *bench) set(figure string, value float64) { b.line.Figures[figure] = value }

func (b *bench) parameter(name string, value any) { b.line.Parameters[name] = value }

// latencies notes quantiles of samples, which are sorted. Too few are an error.
func (b *bench) latencies(prefix string, samples []time.Duration) error {
	least := b.scenario.samples
	if b.samples >= 0 {
		least = b.samples
	}
	if len(samples) < max(least, 1) {
		return fmt.Errorf("%slatencies: %d samples, want at least %d", prefix, len(samples), least)
	}
	b.set(prefix+"p50 ms", milliseconds(quantile(samples, 0.50)))
	b.set(prefix+"p95 ms", milliseconds(quantile(samples, 0.95)))
	b.set(prefix+"p99 ms", milliseconds(quantile(samples, 0.99)))
	return nil
}

// complete waits until every client has heard everything that was acknowledged
// and checks that it was all, once, in order, and nothing else.
func (b *bench) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.patience)
	defer cancel()
	lasts := b.ledger.lasts()
	waited := b.fleet.WaitAll(ctx, lasts)
	if err := errors.Join(b.fleet.Check(lasts), waited); err != nil {
		return err
	}
	if heard, due := b.fleet.Stats().Marks, b.ledger.due(); heard != due {
		return fmt.Errorf("%d deliveries were heard, %d were due", heard, due)
	}
	return nil
}

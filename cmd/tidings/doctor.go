package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"tidings/persistence"
	"tidings/roles"
)

// doctorCommand looks at what a node would find, with the settings of serve. It
// changes nothing.
type doctorCommand struct {
	settings

	JSON bool `name:"json" help:"Print the findings as JSON."`
}

// finding is what one check has found.
type finding struct {
	Check  string `json:"check"`
	Status status `json:"status"`
	Found  string `json:"found"`
	// Advice says what to do about it.
	Advice string `json:"advice,omitempty"`
}

type status string

const (
	fine    status = "ok"
	warning status = "warning"
	failed  status = "failed"
	skipped status = "skipped"
)

// doctor collects findings.
type doctor struct {
	s        settings
	findings []finding
}

func (d *doctor) say(check string, is status, found, advice string) {
	d.findings = append(d.findings, finding{check, is, found, advice})
}

func (c doctorCommand) Run(ctx context.Context, env environment) error {
	d := &doctor{s: c.withDefaults()}
	for _, check := range []func(context.Context){
		d.settings, d.identity, d.listeners, d.openFiles, d.memory, d.disk, d.nats,
	} {
		check(ctx)
	}
	write := d.text
	if c.JSON {
		write = d.json
	}
	if err := write(env.Stdout); err != nil {
		return err
	}
	bad := 0
	for _, f := range d.findings {
		if f.Status == failed {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks failed", bad, len(d.findings))
	}
	return nil
}

func (d *doctor) json(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(d.findings)
}

func (d *doctor) text(w io.Writer) error {
	for _, f := range d.findings {
		if _, err := fmt.Fprintf(w, "%-8s %-20s %s\n", f.Status, f.Check, f.Found); err != nil {
			return err
		}
		if f.Advice != "" {
			if _, err := fmt.Fprintf(w, "%30s%s\n", "", f.Advice); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *doctor) settings(context.Context) {
	if err := d.s.validate(); err != nil {
		d.say("settings", failed, err.Error(), "`tidings config` shows where each setting comes from.")
		return
	}
	if d.s.Dev {
		d.say("settings", warning, "development: tokens are printed, any page of localhost may connect", "Never for production: leave out --dev.")
		return
	}
	d.say("settings", fine, "are complete", "")
}

// identityTimeout bounds the questions to the issuers of tokens.
const identityTimeout = 10 * time.Second

func (d *doctor) identity(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	if _, err := d.s.policy(); err != nil {
		d.say("policy", failed, err.Error(), "")
	} else {
		d.say("policy", fine, "can be read", "")
	}
	issuers, err := d.s.issuers()
	switch {
	case err != nil:
		d.say("identity", failed, err.Error(), "")
		return
	case len(issuers) == 0:
		d.say("identity", skipped, "no issuer of tokens is set", "")
		return
	}
	if _, err := roles.NewVerifier(ctx, roles.Options{Issuers: issuers}); err != nil {
		d.say("identity", failed, err.Error(), "")
		return
	}
	d.say("identity", fine, fmt.Sprintf("the keys of %d issuers can be read", len(issuers)), "")
}

func (d *doctor) listeners(ctx context.Context) {
	for _, l := range []struct{ name, addr string }{{"http", d.s.HTTP}, {"ops", d.s.Ops}, {"nats-listen", d.s.NATSListen}} {
		if l.addr == off {
			continue
		}
		socket, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
		switch {
		case err != nil:
			d.say(l.name, failed, err.Error(), "Is a node running already? Else choose another address.")
			continue
		case l.name == "ops" && !loopback(l.addr):
			d.say(l.name, fine, l.addr+" is free; it can be reached from outside, so all but probes asks for a token", "")
		default:
			d.say(l.name, fine, l.addr+" is free", "")
		}
		_ = socket.Close() // nobody has connected
	}
}

// roomyFiles is a limit of open files that need not be thought about.
const roomyFiles = 65_536

func (d *doctor) openFiles(context.Context) {
	switch limit, known := openFiles(); {
	case !known:
		d.say("open files", skipped, "this system does not tell", "")
	case limit < roomyFiles:
		d.say("open files", warning, fmt.Sprintf("at most %d, and each connection is one", limit), "Raise the limit: LimitNOFILE= of systemd, ulimits of a container, limits.conf.")
	default:
		d.say("open files", fine, fmt.Sprintf("at most %d", limit), "")
	}
}

func (d *doctor) memory(context.Context) {
	switch limit, goLimit := memoryLimits(); {
	case limit == 0:
		d.say("memory", fine, "no limit is set for this process", "")
	case goLimit > limit:
		d.say("memory", warning, fmt.Sprintf("this process may take %v, and does not know", size(limit)),
			fmt.Sprintf("Set GOMEMLIMIT=%d, nine tenths of it, so that memory is given back in time.", limit/10*9))
	default:
		d.say("memory", fine, fmt.Sprintf("at most %v, of which the program knows", size(limit)), "")
	}
}

// roomyDisk is what should be free where nothing bounds the log.
const roomyDisk = size(5 << 30)

func (d *doctor) disk(context.Context) {
	if d.s.NATS != "" {
		return // it is another machine's
	}
	data, err := filepath.Abs(d.s.Data)
	dir := data
	if err == nil {
		dir, err = existing(data)
	}
	if err != nil {
		d.say("disk", failed, err.Error(), "")
		return
	}
	probe, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		d.say("disk", failed, err.Error(), "The node must be able to write where --data says.")
		return
	}
	err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	free, known := freeSpace(dir)
	used := size(0)
	if dir == data {
		used = size(sizeOfFiles(dir))
	}
	switch {
	case err != nil:
		d.say("disk", failed, err.Error(), "")
	case !known:
		d.say("disk", skipped, "this system does not tell how much is free", "")
	case d.s.MaxBytes > 0 && free+used < d.s.MaxBytes:
		d.say("disk", warning, fmt.Sprintf("%d MiB are free at %s, and the log may grow to %v", free>>20, dir, d.s.MaxBytes), "Lower --max-bytes, or give it a larger disk: one that is full stops the log.")
	case d.s.MaxBytes == 0 && free < roomyDisk:
		d.say("disk", warning, fmt.Sprintf("%d MiB are free at %s, and nothing bounds the log but its age", free>>20, dir), "Set --max-bytes: a disk that is full stops the log.")
	default:
		d.say("disk", fine, fmt.Sprintf("%d MiB are free at %s", free>>20, dir), "")
	}
}

// existing is a directory, or the nearest one above it that is there.
func existing(dir string) (string, error) {
	for {
		_, err := os.Stat(dir)
		if err == nil || !errors.Is(err, os.ErrNotExist) || filepath.Dir(dir) == dir {
			return dir, err
		}
		dir = filepath.Dir(dir)
	}
}

func sizeOfFiles(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			if info, err := entry.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil // what cannot be read is not counted
	})
	return sum
}

// nats looks at the log.
func (d *doctor) nats(ctx context.Context) {
	options := d.s.connect()
	if d.s.NATS == "" {
		server := d.embedded()
		if server == nil {
			return
		}
		defer func() { _ = server.Shutdown() }() // it was only looked at
		if err := server.Health(); err != nil {
			d.say("nats", failed, "the store of the embedded server: "+err.Error(), "")
		}
		options = persistence.ConnectOptions{Server: server}
	}
	conn, err := persistence.Connect(options)
	if err != nil {
		d.say("nats", failed, err.Error(), "Is it running, is --nats its address, and are the credentials right?")
		return
	}
	defer func() { _ = conn.Close(ctx) }() // nothing was sent that matters
	x, err := persistence.Examine(ctx, conn, d.s.log())
	d.streams(x)
	if err != nil {
		d.say("nats", failed, err.Error(), "The user of a node needs the permissions that docs/guides/running.md lists.")
		return
	}
	d.say("nats", fine, "version "+x.Version+", and all that a node needs is permitted", "")
	d.clock(x)
}

// embedded starts the server of the data directory, for nobody but us; nil if
// there is nothing to look at.
func (d *doctor) embedded() *persistence.Server {
	switch used, err := persistence.InUse(d.s.Data); {
	case err != nil:
		d.say("nats", failed, err.Error(), "")
		return nil
	case used:
		d.say("nats", skipped, "a node is running on "+d.s.Data, "Ask it: /readyz on its --ops.")
		return nil
	}
	if _, err := os.Stat(filepath.Join(d.s.Data, "jetstream")); errors.Is(err, os.ErrNotExist) {
		d.say("nats", fine, "there is no log yet at "+d.s.Data+"; the first start makes one", "")
		return nil
	}
	server, err := persistence.StartServer(persistence.ServerOptions{Dir: d.s.Data, Sync: persistence.Sync(d.s.Sync)})
	if err != nil {
		d.say("nats", failed, err.Error(), "")
		return nil
	}
	return server
}

// nearlyFull is the share of its bound at which a stream is worth a word.
const nearlyFull = 0.9

func (d *doctor) streams(x persistence.Examination) {
	for _, s := range x.Streams {
		switch {
		case s.Missing:
			d.say(s.Name, fine, "does not exist yet; a node makes it", "")
		case len(s.Differences) > 0:
			d.say(s.Name, failed, "has another shape: "+strings.Join(s.Differences, "; "), "Change the settings to what it is, or the stream itself (`nats stream edit`). A node never alters it.")
		case s.MaxBytes > 0 && float64(s.Bytes) > nearlyFull*float64(s.MaxBytes):
			d.say(s.Name, warning, fmt.Sprintf("%d MiB of %d MiB are used: the oldest of %d messages, of %s, go first", s.Bytes>>20, s.MaxBytes>>20, s.Messages, s.Oldest.UTC().Format(time.RFC3339)),
				"Who has been away for longer hears that something is missing. Raise its bound if that is too soon.")
		default:
			d.say(s.Name, fine, fmt.Sprintf("%d messages, %d MiB", s.Messages, s.Bytes>>20), "")
		}
	}
}

// The clocks of nodes and NATS stamp events, tokens and times to live.
const (
	skewSeen = time.Second
	skewBad  = 30 * time.Second
)

func (d *doctor) clock(x persistence.Examination) {
	skew := x.Skew.Abs() - x.Doubt
	found := fmt.Sprintf("that of NATS and this one differ by %v, give or take %v", x.Skew.Round(time.Millisecond), x.Doubt.Round(time.Millisecond))
	switch {
	case x.Skew == 0 && x.Doubt == 0:
		d.say("clock", skipped, "NATS tells its time with its streams only", "")
	case skew > skewBad:
		d.say("clock", failed, found, "Let both follow one source of time (NTP): events would expire, and tokens be refused, at the wrong moment.")
	case skew > skewSeen:
		d.say("clock", warning, found, "Let both follow one source of time (NTP).")
	default:
		d.say("clock", fine, found, "")
	}
}

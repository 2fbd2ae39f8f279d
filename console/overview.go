package console

import (
	"context"
	"iter"
	"math"
	"runtime/metrics"
	"sync"
	"time"

	"tidings/actors"
	"tidings/hub"
	"tidings/persistence"
	"tidings/telemetry"
)

// The figures of the last minutes, one sample a second.
const (
	sampleEvery = time.Second
	samplesKept = 300
)

// Sample is how a node is, and what it did in the last second.
type Sample struct {
	At          time.Time `json:"at"`
	Connections int64     `json:"connections"`
	Users       int64     `json:"users"`
	Groups      int64     `json:"groups"`

	// What was done in the second before.
	Sent        int64 `json:"sent"`
	Deferred    int64 `json:"deferred"`
	Muted       int64 `json:"muted"`
	Expired     int64 `json:"expired"`
	SentBytes   int64 `json:"sentBytes"`
	Events      int64 `json:"events"`
	Appended    int64 `json:"appended"`
	Invocations int64 `json:"invocations"`
	Replays     int64 `json:"replays"`
	Replayed    int64 `json:"replayed"`
	Errors      int64 `json:"errors"`
	Dropped     int64 `json:"dropped"`
	// From the log's acknowledgement to the last socket, in milliseconds; nil
	// when nothing was delivered.
	P50 *float64 `json:"p50Ms"`
	P99 *float64 `json:"p99Ms"`

	// Position is the newest one read, Lag how many are still to be read, Lagging
	// how many connections read the log instead of hearing it.
	Position int64 `json:"position"`
	Lag      int64 `json:"lag"`
	Lagging  int64 `json:"lagging"`

	HeapBytes  int64 `json:"heapBytes"`
	RSSBytes   int64 `json:"rssBytes"`
	Goroutines int64 `json:"goroutines"`
	// CPU is how many cores the process has used, Load 0 to 1: how near the node
	// is to what it can do.
	CPU  float64 `json:"cpu"`
	Load float64 `json:"load"`
}

// figures are what samples are made of: two of them are one sample.
type figures struct {
	at        time.Time
	totals    telemetry.Totals
	log       persistence.Stats
	actors    actors.Stats
	latencies []uint64
	usage     telemetry.Usage
	memory    [2]int64 // bytes of the heap that are in use, goroutines
	load      float64
}

func (c *Console) look() figures {
	f := figures{
		at: c.o.Now(), totals: c.o.Metrics.Totals(), log: c.o.Log.Stats(), latencies: c.o.Metrics.Latencies().Counts(),
		usage: telemetry.ReadUsage(), memory: memory(), load: c.o.Load(),
	}
	for _, h := range c.o.Hubs {
		s := h.Stats()
		f.actors.Connections += s.Connections
		f.actors.Users += s.Users
		f.actors.Groups += s.Groups
		f.actors.Lagging += s.Lagging
		f.actors.Dropped += s.Dropped
	}
	return f
}

func memory() [2]int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}, {Name: "/sched/goroutines:goroutines"}}
	metrics.Read(samples)
	return [2]int64{int64(samples[0].Value.Uint64()), int64(samples[1].Value.Uint64())} //nolint:gosec // they fit
}

// since is what was done between two looks.
func (f figures) since(before figures) Sample {
	t, b := f.totals, before.totals
	s := Sample{
		At: f.at.UTC(), Connections: f.actors.Connections, Users: f.actors.Users, Groups: f.actors.Groups,
		Sent: t.Sent - b.Sent, Deferred: t.Deferred - b.Deferred, Muted: t.Muted - b.Muted, Expired: t.Expired - b.Expired,
		SentBytes: t.SentBytes - b.SentBytes, Invocations: t.Invocations - b.Invocations,
		Replays: t.Replays - b.Replays, Replayed: t.Replayed - b.Replayed,
		Events: f.log.Followed - before.log.Followed, Appended: f.log.Appended - before.log.Appended,
		Errors:  errorsOf(f) - errorsOf(before),
		Dropped: f.actors.Dropped - before.actors.Dropped,
		P50:     quantile(before.latencies, f.latencies, 0.5), P99: quantile(before.latencies, f.latencies, 0.99),
		Position: int64(f.log.Head), Lag: int64(f.log.Last - f.log.Head), Lagging: f.actors.Lagging, //nolint:gosec // positions fit
		HeapBytes: f.memory[0], RSSBytes: f.usage.Resident, Goroutines: f.memory[1], Load: f.load,
	}
	if took := f.at.Sub(before.at); took > 0 {
		used := f.usage.User + f.usage.System - before.usage.User - before.usage.System
		s.CPU = math.Round(100*used.Seconds()/took.Seconds()) / 100
	}
	return s
}

// errorsOf counts what somebody may have to look at.
func errorsOf(f figures) int64 {
	return f.totals.InvocationErrors + f.totals.Refused + f.log.AppendErrors + f.log.Rejected
}

func quantile(before, after []uint64, q float64) *float64 {
	d, some := telemetry.Quantile(before, after, q)
	if !some {
		return nil
	}
	ms := float64(d.Microseconds()) / 1000
	return &ms
}

// measure takes samples until ctx ends.
func (c *Console) measure(ctx context.Context) error {
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	before := c.look()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			now := c.look()
			c.overview.add(now.since(before))
			before = now
		}
	}
}

// overview keeps samples and wakes who waits for the next.
type overview struct {
	mu      sync.Mutex // guards all below
	samples []Sample   // the newest last
	taken   int        // of all time
	next    chan struct{}
}

func newOverview() *overview { return &overview{next: make(chan struct{})} }

func (v *overview) add(s Sample) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.samples) == samplesKept {
		v.samples = append(v.samples[:0], v.samples[1:]...)
	}
	v.samples = append(v.samples, s)
	v.taken++
	close(v.next)
	v.next = make(chan struct{})
}

// after returns the samples that were taken after the first seen ones, how many
// there are by now, and what is closed when there is another.
func (v *overview) after(seen int) (fresh []Sample, taken int, next <-chan struct{}) {
	v.mu.Lock()
	defer v.mu.Unlock()
	fresh = append(fresh, v.samples[max(0, len(v.samples)-(v.taken-seen)):]...)
	return fresh, v.taken, v.next
}

// newest is the sample of now; nil = there is none yet.
func (v *overview) newest() *Sample {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.samples) == 0 {
		return nil
	}
	s := v.samples[len(v.samples)-1]
	return &s
}

// watch tells what was, and then what is, every second.
func (c *Console) watch(h *hub.Context, _ Nothing) iter.Seq[Sample] {
	return func(yield func(Sample) bool) {
		fresh, seen, next := c.overview.after(0)
		for {
			for _, s := range fresh {
				if !yield(s) {
					return
				}
			}
			select {
			case <-h.Context().Done():
				return
			case <-next:
				fresh, seen, next = c.overview.after(seen)
			}
		}
	}
}

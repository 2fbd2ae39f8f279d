//go:build linux

package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, tt := range []struct {
		sorted []time.Duration
		share  float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{hundred, 0.5, 50},
		{hundred, 0.95, 95},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
	} {
		if got := quantile(tt.sorted, tt.share); got != tt.want {
			t.Errorf("quantile of %d samples at %v = %d, want %d", len(tt.sorted), tt.share, got, tt.want)
		}
	}
}

func TestShown(t *testing.T) {
	for value, want := range map[float64]string{
		0: "0", 1234.5: "1234", 123.4: "123", 12.34: "12.3", 1.234: "1.23", 0.5: "0.50", 0.01234: "0.012", -12.34: "-12.3",
	} {
		if got := shown(value); got != want {
			t.Errorf("shown(%v) = %q, want %q", value, got, want)
		}
	}
}

func TestSaturatedClientsSpoilRatesUnlessTheServerIsToo(t *testing.T) {
	for _, tt := range []struct {
		client, server float64
		want           bool
	}{{0.5, 0.5, false}, {0.91, 0.5, true}, {0.91, 0.94, true}, {0.99, 0.96, false}} {
		if got := saturates(tt.client, tt.server); got != tt.want {
			t.Errorf("saturates(%v, %v) = %v", tt.client, tt.server, got)
		}
	}
	for figure, want := range map[string]bool{
		figureRate: true, figureEvents: true, "p99 ms": true, "replay s": true,
		figureCPU: false, "rss bytes/connection": false, "server cpu µs/event": false, "delivered %": false,
	} {
		if got := timed(figure); got != want {
			t.Errorf("timed(%q) = %v", figure, got)
		}
	}
}

func TestParseCPUs(t *testing.T) {
	for list, want := range map[string][]int{"": nil, "0": {0}, "3,1": {1, 3}, "0-2": {0, 1, 2}, "0-1,1,4": {0, 1, 4}} {
		got, err := parseCPUs(list)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("parseCPUs(%q) = %v, %v; want %v", list, got, err, want)
		}
	}
	for _, list := range []string{"x", "-1", "2-1", "0,", "1024", "0-", "1-2-3", " 1"} {
		if got, err := parseCPUs(list); err == nil {
			t.Errorf("parseCPUs(%q) = %v, want an error", list, got)
		}
	}
	if got := formatCPUs([]int{0, 2}); got != "0,2" {
		t.Errorf("formatCPUs = %q", got)
	}
}

func TestParseStatus(t *testing.T) {
	got, err := parseStatus([]byte("Name:\ttidings\nVmHWM:\t  300 kB\nVmRSS:\t     200 kB\nRssAnon:\t     150 kB\nRssFile:\t      50 kB\n"))
	if want := (memory{200 * 1024, 150 * 1024}); err != nil || got != want {
		t.Errorf("parseStatus = %v, %v; want %v", got, err, want)
	}
	if _, err := parseStatus([]byte("Name:\ttidings\nState:\tZ (zombie)\n")); err == nil {
		t.Error("a process that has ended has no memory")
	}
}

func TestOwnFiguresAreThere(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; { // use some
	}
	after, err := cpuTime(os.Getpid())
	if err != nil || after <= before {
		t.Errorf("cpu time %v, then %v, %v", before, after, err)
	}
	if m, err := memoryOf(os.Getpid()); err != nil || m.resident < 1<<20 {
		t.Errorf("memory %v, %v", m, err)
	}
	if _, err := cpuTime(1 << 22); err == nil {
		t.Error("nobody has that pid")
	}
}

func TestHalf(t *testing.T) {
	for _, tt := range []struct{ reached, asked, want float64 }{{1000, 0, 500}, {1000, 600, 300}, {1000, 4000, 2000}} {
		if got := half(tt.reached, tt.asked); got != tt.want {
			t.Errorf("half(%v, %v) = %v, want %v", tt.reached, tt.asked, got, tt.want)
		}
	}
}

func TestRhythm(t *testing.T) {
	if r := newRhythm(2); r.tick != 500*time.Millisecond || r.until(1) != 1 || r.until(4) != 4 {
		t.Errorf("2 a second: every %v, %d, %d", r.tick, r.until(1), r.until(4))
	}
	if r := newRhythm(500); r.tick != 5*time.Millisecond || r.until(2) != 5 || r.until(200) != 500 {
		t.Errorf("500 a second: every %v, %d, %d", r.tick, r.until(2), r.until(200))
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	end := time.Now().Add(-time.Minute)
	past := end.Add(-time.Second)
	if when, on := waitUntil(ctx, past, &end); !on || !when.Equal(past) {
		t.Errorf("what was due is emitted, and counts from then: %v, %v", when, on)
	}
	for _, due := range []time.Time{end.Add(time.Second), time.Now().Add(time.Minute)} {
		if _, on := waitUntil(ctx, due, &end); on {
			t.Errorf("it was to stop at %v, and %v is after that", end, due)
		}
	}
}

func TestShares(t *testing.T) {
	if diff := cmp.Diff([][]uint32{{1, 3}, {2}}, shares([]uint32{1, 2, 3}, 2)); diff != "" {
		t.Error(diff)
	}
	if got := shares([]uint32{1}, 4); len(got) != 1 {
		t.Errorf("one recipient among four emitters: %v", got)
	}
	next := around([]uint32{7, 8})
	if got := []uint32{next(), next(), next()}; !slices.Equal(got, []uint32{7, 8, 7}) {
		t.Errorf("around = %v", got)
	}
}

func TestLedger(t *testing.T) {
	l := newLedger()
	ann := l.number("user/ann")
	if l.number("everyone") != toEveryone || ann != 2 || l.number("user/ann") != ann {
		t.Fatalf("everyone is %d, ann %d", l.number("everyone"), ann)
	}
	const size = 200
	body := string(l.write("to", size, time.Unix(0, 1), []uint32{ann, toEveryone, ann}))
	l.note([]uint32{ann, toEveryone, ann})
	for _, part := range []string{
		`[{"to":"user/ann","data":{"m":"@00000002000000000001`, `{"to":"everyone","data":{"m":"@00000001000000000001`, `"@00000002000000000002`,
	} {
		if !strings.Contains(body, part) {
			t.Errorf("no %s in %s", part, body)
		}
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(body, `[{"to":"user/ann","data":`), "},{")
	if len(first) != size {
		t.Errorf("data of %d bytes, want %d: %s", len(first), size, first)
	}
	if before := l.enlist(ann); before != 2 || l.due() != 0 {
		t.Errorf("ann came after %d, %d are due", before, l.due())
	}
	l.note([]uint32{ann})
	if diff := cmp.Diff(map[uint32]uint64{toEveryone: 1, ann: 3}, l.lasts()); diff != "" || l.due() != 1 || l.count() != 4 {
		t.Errorf("%d due, %d events, %s", l.due(), l.count(), diff)
	}
}

func TestUpgrade(t *testing.T) {
	p := person{"7", []string{"ops"}, []string{"a", "b"}}
	if diff := cmp.Diff([]string{"role/ops", "group/a", "group/b"}, p.channels()); diff != "" {
		t.Error(diff)
	}
	peer := &target{name: nameLoop, http: "127.0.0.1:1"}
	request, err := peer.admitToPeer(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(request("")); !strings.HasPrefix(got, "GET /ws?user=7&channels=role%2Fops%2Cgroup%2Fa%2Cgroup%2Fb HTTP/1.1\r\n") || !strings.HasSuffix(got, "\r\n\r\n") {
		t.Errorf("%q", got)
	}
	tidings := &target{hub: hubPath, http: "127.0.0.1:1", secret: []byte(strings.Repeat("x", 32))}
	if request, err = tidings.admitToTidings(t.Context(), person{user: "7"}); err != nil {
		t.Fatal(err)
	}
	if got := string(request("a/b")); !strings.HasPrefix(got, "GET /hubs/notifications?cursor=a%2Fb HTTP/1.1\r\nHost: 127.0.0.1:1\r\nAuthorization: Bearer ") {
		t.Errorf("%q", got)
	}
}

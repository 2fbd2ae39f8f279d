//go:build linux

package fleet_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"tidings/cmd/tidingsbench/fleet"
	"tidings/roles"
)

// target is a real server. Binaries are named by the environment; without,
// tests of them are skipped.
type target struct {
	name     string
	dialect  fleet.Dialect
	variable string   // that names the binary
	command  []string // its arguments
	path     string   // of the WebSocket
	publish  string   // path
	key      string   // of the recipient in what is published
	replays  bool

	addr    string
	secret  []byte // of tokens; nil for none
	process *os.Process
	seqs    map[uint32]uint64
}

func targets() []*target {
	tidings := target{
		variable: "TIDINGSBENCH_SERVER", command: []string{"serve", "--dev", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--nats-listen", "off", "--log-level", "warn"},
		path: "/hubs/notifications?cursor=", publish: "/v1/notifications", key: "recipient", replays: true,
	}
	peer := target{variable: "TIDINGSBENCH_PEERS", path: "/ws?", publish: "/publish", key: "to"}
	all := []target{tidings, tidings, peer, peer, peer, peer}
	all[0].name, all[0].dialect = "tidings JSON", fleet.SignalRJSON()
	all[1].name, all[1].dialect = "tidings MessagePack", fleet.SignalRMessagePack()
	all[2].name, all[2].dialect, all[2].command = "loop", fleet.Raw(), []string{"loop", "-listen", "127.0.0.1:0"}
	all[3].name, all[3].dialect, all[3].command = "gorilla", fleet.Raw(), []string{"gorilla", "-listen", "127.0.0.1:0"}
	all[4].name, all[4].dialect, all[4].command = "centrifuge", fleet.Centrifuge(), []string{"centrifuge", "-listen", "127.0.0.1:0", "-history", "1000"}
	all[4].path, all[4].replays = "/connection/websocket?", true
	all[5].name, all[5].dialect, all[5].variable = "socketio", fleet.SocketIO(), "TIDINGSBENCH_SOCKETIO"
	all[5].path, all[5].replays = "/socket.io/?EIO=4&transport=websocket&", true
	some := make([]*target, len(all))
	for i := range all {
		some[i] = &all[i]
	}
	return some
}

func (s *target) start(t *testing.T) {
	t.Helper()
	binary := os.Getenv(s.variable)
	if binary == "" {
		t.Skip(s.variable, "names nothing")
	}
	dir := t.TempDir()
	if s.secret = nil; s.key == "recipient" {
		s.command = append(s.command, "--data", dir)
	}
	command := exec.CommandContext(t.Context(), binary, s.command...)
	if strings.HasSuffix(binary, ".mjs") {
		command = exec.CommandContext(t.Context(), "node", binary)
		command.Env = append(os.Environ(), "PORT=0", "RECOVERY=1")
	}
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = command.Wait() })
	reader := bufio.NewReader(out)
	line, err := reader.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	s.process, s.seqs = command.Process, map[uint32]uint64{}
	for field := range strings.FieldsSeq(line) {
		if addr, ok := strings.CutPrefix(field, "http="); ok {
			s.addr = addr
		}
	}
	if s.key != "recipient" {
		return
	}
	secret, err := os.ReadFile(filepath.Join(dir, "dev-secret"))
	if err != nil {
		t.Fatal(err)
	}
	s.secret = bytes.TrimSpace(secret)
}

// authorization is a line of a request.
func (s *target) authorization(t *testing.T, user string, held ...string) string {
	t.Helper()
	if s.secret == nil {
		return ""
	}
	token, err := roles.Mint(s.secret, roles.Grant{UserID: user, Roles: held, TTL: time.Hour, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + token
}

func (s *target) request(t *testing.T, user string) func(string) []byte {
	t.Helper()
	authorization := s.authorization(t, user)
	return func(cursor string) []byte {
		path := s.path + "user=" + user
		if s.secret != nil {
			path = s.path + cursor
		}
		return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, s.addr, authorization)
	}
}

// emit publishes the next event of recipients.
func (s *target) emit(t *testing.T, to map[uint32]string) {
	t.Helper()
	var events []map[string]any
	for number, recipient := range to {
		s.seqs[number]++
		m := fleet.AppendMark(nil, number, s.seqs[number], time.Now(), 192)
		events = append(events, map[string]any{s.key: recipient, "data": map[string]string{"m": string(m)}})
		if s.secret != nil {
			events[len(events)-1]["title"] = "t"
		}
	}
	body, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+s.publish, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", s.authorization(t, "bench", "admin"))
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(answer.Body)
	if err = answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("publish: %s %s %v", answer.Status, text, err)
	}
}

// crowd connects the users 0 to n-1, each with a recipient of its own beside
// everyone.
func (s *target) crowd(t *testing.T, loops, n int) (f *fleet.Fleet, all []*fleet.Client, to map[uint32]string) {
	t.Helper()
	s.start(t)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	f = start(t, fleet.Options{Addr: s.addr, Dialect: s.dialect, Loops: loops, Recover: true})
	to = map[uint32]string{everyone: "everyone"}
	all = make([]*fleet.Client, n)
	for i := range all {
		number := uint32(2 + i)
		to[number] = "user/" + strconv.Itoa(i)
		all[i] = f.Add(fleet.Spec{Request: s.request(t, strconv.Itoa(i)), Recipients: []uint32{everyone, number}})
	}
	if err := f.Connect(soon(t), all); err != nil {
		t.Fatal(err)
	}
	return f, all, to
}

const everyone = 1

// Half of the clients are away while events flow. Who has a server that
// replays hears everything once.
func TestServers(t *testing.T) {
	for _, s := range targets() {
		t.Run(s.name, func(t *testing.T) {
			const clients, events = 100, 20
			f, all, to := s.crowd(t, 2, clients)
			for range events {
				s.emit(t, to)
			}
			if err := f.WaitHeard(soon(t), clients*events*2); err != nil {
				t.Fatal(err)
			}
			f.Cut(all[:clients/2])
			for range events {
				s.emit(t, to)
			}
			if err := f.Connect(soon(t), all); err != nil {
				t.Fatal(err)
			}
			s.emit(t, to)
			if err := f.WaitAll(soon(t), s.seqs); err != nil {
				t.Fatal(err)
			}
			f.Disconnect(all)
			samples, stats := f.Samples(), f.Stats()
			t.Logf("%+v live p50 %v ready p50 %v", stats, samples.Live[len(samples.Live)/2], samples.Ready[len(samples.Ready)/2])
			expected, missing := f.Tally(s.seqs)
			if err := f.Check(s.seqs); !s.replays {
				if err == nil || expected != clients*(2*events+1)*2 || missing != clients*events || missing != stats.Gaps {
					t.Errorf("%d of %d are missing: %v", missing, expected, err)
				}
				return
			} else if err != nil {
				t.Fatal(err)
			}
			if len(samples.Live) != clients*(3*events+2) || len(samples.Replay) != clients/2 || len(samples.Ready) != clients*3/2 {
				t.Errorf("%d live, %d replays, %d ready", len(samples.Live), len(samples.Replay), len(samples.Ready))
			}
		})
	}
}

// TestCost says what a delivery to one of 1,000 clients costs, one event at a
// time.
func TestCost(t *testing.T) {
	for _, s := range targets() {
		t.Run(s.name, func(t *testing.T) {
			f, all, _ := s.crowd(t, 1, 1000)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			own, served, begun, before := ownTime(t), processTime(t, s.process.Pid), time.Now(), f.Stats()
			for time.Since(begun) < 2*time.Second {
				s.emit(t, map[uint32]string{everyone: "everyone"})
				if err := f.WaitHeard(ctx, s.seqs[everyone]*uint64(len(all))); err != nil {
					t.Fatal(err)
				}
			}
			after := f.Stats()
			n := time.Duration(after.Marks - before.Marks)
			t.Logf("%d deliveries in %v: client %v, server %v each; %d reads; live p50 %v", n, time.Since(begun),
				(ownTime(t)-own)/n, (processTime(t, s.process.Pid)-served)/n, after.Reads-before.Reads, f.Samples().Live[n/2])
			if err := f.Check(s.seqs); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func ownTime(t *testing.T) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// processTime is in ticks of 10 ms.
func processTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	user, _ := strconv.Atoi(fields[12])
	system, _ := strconv.Atoi(fields[13])
	return time.Duration(user+system) * 10 * time.Millisecond
}

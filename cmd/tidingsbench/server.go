package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tidings/roles"
)

// server is the process under load.
type server struct {
	process *exec.Cmd
	client  *http.Client // for what is no transport of a client
	http    string       // where it listens
	ops     string       // and where operators find its profiles
	hub     string       // path of the hub that clients connect to
	dir     string       // what it keeps; gone when it stops
	secret  []byte       // of the tokens; nil lets anybody in
	emitter string       // the token of whoever publishes
}

// startTidings starts a node with an empty log.
func startTidings(ctx context.Context, binary string, settings ...string) (*server, error) {
	dir, err := os.MkdirTemp("", "tidingsbench-")
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"serve", "--dev", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--nats-listen", "off", "--data", dir, "--log-level", "warn",
	}, settings...)
	s := &server{process: exec.CommandContext(ctx, binary, args...), hub: "/hubs/notifications", dir: dir} //nolint:gosec // the user names the server
	if err = s.start(); err != nil {
		return nil, err
	}
	secret, err := os.ReadFile(filepath.Join(dir, "dev-secret")) //nolint:gosec // our own directory
	if err == nil {
		s.secret = bytes.TrimSpace(secret)
		s.emitter, err = s.token("bench", "admin")
	}
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// startConformance starts the example that has a method which echoes. It has
// no log, and asks nobody who they are.
func startConformance(ctx context.Context, binary string) (*server, error) {
	s := &server{process: exec.CommandContext(ctx, binary, "-http", "127.0.0.1:0"), hub: "/hubs/conformance"}
	return s, s.start()
}

// start waits for the line that says where the server listens. After an error
// nothing is left of it.
func (s *server) start() error {
	s.process.Stderr = os.Stderr
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: dialers}}
	out, err := s.process.StdoutPipe()
	if err == nil {
		err = s.process.Start()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start the server (has it been built?): %w", err), os.RemoveAll(s.dir))
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return errors.Join(fmt.Errorf("%s: not ready: %w", s.process.Path, err), s.stop())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // ends with the process
	for field := range strings.FieldsSeq(line) {
		if addr, ok := strings.CutPrefix(field, "http="); ok {
			s.http = addr
		}
		if addr, ok := strings.CutPrefix(field, "ops="); ok {
			s.ops = addr
		}
	}
	return nil
}

func (s *server) token(user string, held ...string) (string, error) {
	return roles.Mint(s.secret, roles.Grant{UserID: user, Roles: held, TTL: time.Hour, Now: time.Now()})
}

// stop ends the process, and what it keeps. One that does not end by itself is
// killed.
func (s *server) stop() error {
	s.client.CloseIdleConnections()
	late := time.AfterFunc(patience, func() { _ = s.process.Process.Kill() }) // Wait says so
	defer late.Stop()
	err := errors.Join(s.process.Process.Signal(os.Interrupt), s.process.Wait())
	return errors.Join(err, os.RemoveAll(s.dir))
}

// publish stores events and returns the positions the log gave them.
func (s *server) publish(ctx context.Context, events []event) ([]uint64, error) {
	body, err := json.Marshal(events)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/v1/notifications", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+s.emitter)
	request.Header.Set("Content-Type", "application/json")
	answer, err := s.do(request)
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	var receipts []struct{ Position uint64 }
	if err := json.Unmarshal(answer, &receipts); err != nil {
		return nil, err
	}
	positions := make([]uint64, len(receipts))
	for i, r := range receipts {
		positions[i] = r.Position
	}
	return positions, nil
}

// do returns the body of an answer with status 200.
func (s *server) do(request *http.Request) ([]byte, error) {
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", response.Status, answer)
	}
	return answer, nil
}

// event is what is emitted: its title is when, in Unix nanoseconds, so that
// emit → receive is measured on one clock.
type event struct {
	Recipient string `json:"recipient"`
	Title     string `json:"title"`
	Body      string `json:"body"`
}

// text makes an event about 200 bytes long.
const text = "a notification of an ordinary length, such as people write them when an order has been shipped and is on its way to you"

func newEvent(recipient string) event {
	return event{recipient, strconv.FormatInt(time.Now().UnixNano(), 10), text}
}

// profile asks for a runtime profile as text.
func (s *server) profile(ctx context.Context, name string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+"/debug/pprof/"+name, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := s.do(request)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return answer, nil
}

// resident is the resident set of the process, in bytes.
func (s *server) resident() (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	kilobytes, err := figure(status, "VmRSS:")
	return kilobytes * 1024, err
}

// figure is the number behind a text.
func figure(from []byte, text string) (float64, error) {
	_, rest, _ := bytes.Cut(from, []byte(text))
	fields := bytes.Fields(rest[:min(len(rest), 64)])
	if len(fields) == 0 {
		return 0, fmt.Errorf("no %q", text)
	}
	return strconv.ParseFloat(string(fields[0]), 64)
}

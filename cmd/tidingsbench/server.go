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
	http    string
	ops     string
	dir     string
	secret  []byte
	emitter string
}

func startServer(ctx context.Context, binary string, settings ...string) (*server, error) {
	dir, err := os.MkdirTemp("", "tidingsbench-")
	if err != nil {
		return nil, err
	}
	args := append([]string{
		"serve", "--dev", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--nats-listen", "off", "--data", dir, "--log-level", "warn",
	}, settings...)
	s := &server{process: exec.CommandContext(ctx, binary, args...), dir: dir} //nolint:gosec // the user names the server
	s.process.Stderr = os.Stderr
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err = s.process.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(errors.New("server is not ready"), s.stop())
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
	secret, err := os.ReadFile(filepath.Join(dir, "dev-secret")) //nolint:gosec // our own directory
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.secret = bytes.TrimSpace(secret)
	s.emitter, err = s.token("bench", "admin")
	return s, err
}

func (s *server) token(user string, held ...string) (string, error) {
	return roles.Mint(s.secret, roles.Grant{UserID: user, Roles: held, TTL: time.Hour, Now: time.Now()})
}

func (s *server) stop() error {
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
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("publish: %s: %s", response.Status, answer)
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

// memory is the resident set of the process after a garbage collection, in
// bytes.
func (s *server) memory(ctx context.Context) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.ops+"/debug/pprof/heap?gc=1", http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return 0, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kilobytes * 1024, err
		}
	}
	return 0, errors.New("no VmRSS in the status of the process")
}

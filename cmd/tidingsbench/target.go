//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"tidings/cmd/tidingsbench/fleet"
)

// target is a server under load, which has said that it is the one named.
type target struct {
	*process

	name, version string
	cpus          []int        // it may run on
	http          string       // where it listens
	client        *http.Client // for what is no client of the fleet
	dialect       fleet.Dialect
	recovers      bool   // clients that come back hear what they missed
	toField       string // what it calls a recipient
	// admit lets a person in.
	admit func(ctx context.Context, p person) (request, error)
	// publish hands over an array of n events. It fails unless all were
	// acknowledged.
	publish func(ctx context.Context, body []byte, n int) error

	// Of Tidings alone.
	launch  func(ctx context.Context) error // starts its process
	ops     string                          // where operators find its profiles
	hub     string                          // path of the hub
	dir     string                          // what it keeps; gone when it stops
	secret  []byte                          // of the tokens; nil lets anybody in
	emitter string                          // the token of whoever publishes
}

// request opens a connection of a person, from a cursor on if there is one, as
// it stands on the wire.
type request func(cursor string) []byte

// person is who connects.
type person struct {
	user   string
	roles  []string
	groups []string
}

// channels are the recipients of a person beside themselves and everyone.
func (p person) channels() []string {
	var all []string
	for _, role := range p.roles {
		all = append(all, "role/"+role)
	}
	for _, group := range p.groups {
		all = append(all, "group/"+group)
	}
	return all
}

// The names of the servers.
const (
	nameTidings    = "tidings"
	nameLoop       = "loop"
	nameGorilla    = "gorilla"
	nameCentrifuge = "centrifuge"
	nameSocketIO   = "socketio"
)

// startTarget starts the server that the options name, with nothing in it.
func (o options) startTarget(ctx context.Context) (*target, error) {
	cpus, err := serverCPUs(o.serverCPU)
	if err != nil {
		return nil, err
	}
	t := newTarget(o.target, cpus)
	switch o.target {
	case nameTidings:
		err = t.startTidings(ctx, o)
	case nameLoop, nameGorilla, nameCentrifuge, nameSocketIO:
		err = t.startPeer(ctx, o)
	default:
		return nil, fmt.Errorf("no server is called %q", o.target)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.target, err)
	}
	return t, nil
}

func newTarget(name string, cpus []int) *target {
	return &target{name: name, cpus: cpus, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: dialers}}}
}

// run starts the process of the target.
func (t *target) run(ctx context.Context, program string, args ...string) error {
	var err error
	if t.process, err = spawn(ctx, t.cpus, program, args...); err != nil {
		return err
	}
	if t.http = t.field("http"); t.http == "" {
		return errors.Join(fmt.Errorf("%s: does not say where it listens", program), t.stop())
	}
	return nil
}

// stop ends the server, and what it keeps.
func (t *target) stop() error {
	t.client.CloseIdleConnections()
	var err error
	if t.process != nil {
		err = t.process.stop()
	}
	if t.dir != "" {
		err = errors.Join(err, os.RemoveAll(t.dir))
	}
	return err
}

// do returns the body of an answer that says yes. That only a part was accepted
// (207) is a no.
func (t *target) do(request *http.Request) ([]byte, error) {
	response, err := t.client.Do(request)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(response.Body)
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("%s: %.500s", response.Status, answer)
	}
	return answer, nil
}

// ask sends a request to a path of the server, on behalf of whoever emits.
func (t *target) ask(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+t.http+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if t.emitter != "" {
		request.Header.Set("Authorization", "Bearer "+t.emitter)
	}
	if len(body) > 0 {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := t.do(request)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return answer, nil
}

// profile asks for a runtime profile as text.
func (t *target) profile(ctx context.Context, name string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.ops+"/debug/pprof/"+name, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := t.do(request)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	return answer, nil
}

// upgrade is a request for a WebSocket as it stands on the wire.
func upgrade(host, path, token string) []byte {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	return []byte(request + "Upgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + socketKey + "\r\n\r\n")
}

// startPeer starts one of the servers that Tidings is compared with.
func (t *target) startPeer(ctx context.Context, o options) error {
	t.toField = "to"
	var err error
	switch t.name {
	case nameSocketIO:
		t.dialect = fleet.SocketIO()
		err = t.run(ctx, "node", o.socketio)
	case nameCentrifuge:
		t.dialect, t.recovers = fleet.Centrifuge(), o.history > 0
		err = t.run(ctx, o.peers, t.name, "-listen", "127.0.0.1:0", "-history", fmt.Sprint(o.history))
	default:
		t.dialect = fleet.Raw()
		err = t.run(ctx, o.peers, t.name, "-listen", "127.0.0.1:0")
	}
	if err != nil {
		return err
	}
	if err = t.identifyPeer(ctx); err != nil {
		return errors.Join(err, t.stop())
	}
	t.admit, t.publish = t.admitToPeer, t.publishToPeer
	return nil
}

// identifyPeer believes neither of the two ways in which a peer names itself
// alone.
func (t *target) identifyPeer(ctx context.Context) error {
	answer, err := t.ask(ctx, http.MethodGet, "/who", nil)
	if err != nil {
		return err
	}
	var who struct{ Name, Version string }
	if err = json.Unmarshal(answer, &who); err != nil {
		return fmt.Errorf("/who: %w", err)
	}
	if t.ready[0] != "ready" || t.field("name") != t.name || who.Name != t.name {
		return fmt.Errorf("the server is another one: %q, and says of itself %.200s", t.ready, answer)
	}
	if t.version = who.Version; t.version != t.field("version") {
		return fmt.Errorf("the server has two versions: %q, and %.200s", t.ready, answer)
	}
	return nil
}

func (t *target) admitToPeer(_ context.Context, p person) (request, error) {
	path := map[string]string{
		nameLoop: "/ws?", nameGorilla: "/ws?", nameCentrifuge: "/connection/websocket?", nameSocketIO: "/socket.io/?EIO=4&transport=websocket&",
	}[t.name]
	same := upgrade(t.http, path+"user="+url.QueryEscape(p.user)+"&channels="+url.QueryEscape(strings.Join(p.channels(), ",")), "")
	return func(string) []byte { return same }, nil // where it stands a client says itself, once it is connected
}

func (t *target) publishToPeer(ctx context.Context, body []byte, n int) error {
	answer, err := t.ask(ctx, http.MethodPost, "/publish", body)
	if err != nil {
		return err
	}
	var receipt struct{ Accepted int }
	if err = json.Unmarshal(answer, &receipt); err != nil || receipt.Accepted != n {
		return fmt.Errorf("publish: %d of %d accepted: %.200s", receipt.Accepted, n, answer)
	}
	return nil
}

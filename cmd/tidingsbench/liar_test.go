//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"
)

// liarVariable makes the test binary a peer that is called loop and has the
// fault that the variable names.
const liarVariable = "TIDINGSBENCH_LIAR"

func TestMain(m *testing.M) {
	if fault, set := os.LookupEnv(liarVariable); set {
		fmt.Fprintln(os.Stderr, lie(fault))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// liar tells everything to everybody.
type liar struct {
	fault string

	mu      sync.Mutex // guards what follows
	events  int
	kept    []byte
	clients []*websocket.Conn
}

func lie(fault string) error {
	l := &liar{fault: fault}
	name := "loop"
	if fault == "name" {
		name = "gorilla"
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/who", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintf(w, `{"name":%q,"version":"1"}`, name) })
	mux.HandleFunc("/publish", l.publish)
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock() // who is answered is told everything from then on
		defer l.mu.Unlock()
		var upgrader websocket.Upgrader
		client, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		l.clients = append(l.clients, client)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("ready name=loop version=1 http=%s\n", listener.Addr())
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() {
		<-interrupted
		os.Exit(0)
	}()
	return http.Serve(listener, mux)
}

func (l *liar) publish(w http.ResponseWriter, r *http.Request) {
	var events []struct{ Data json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range events {
		l.events++
		for i, data := range l.told(e.Data) {
			if i == 0 && l.fault == "end" && l.events == 10 {
				_ = l.clients[0].Close()
			}
			for _, c := range l.clients {
				_ = c.WriteMessage(websocket.TextMessage, data)
			}
		}
	}
	accepted := len(events)
	if l.fault == "refuses" {
		accepted--
	}
	_, _ = fmt.Fprintf(w, `{"accepted":%d}`, accepted)
}

// told is what is told of an event. The tenth is another one.
func (l *liar) told(data []byte) [][]byte {
	if l.kept != nil {
		before := l.kept
		l.kept = nil
		return [][]byte{data, before}
	}
	if l.events != 10 {
		return [][]byte{data}
	}
	switch l.fault {
	case "loses":
		return nil
	case "doubles":
		return [][]byte{data, data}
	case "reorders":
		l.kept = data
		return nil
	case "misroutes":
		return [][]byte{[]byte(strings.Replace(string(data), "@00000001", "@00000009", 1))}
	case "truncates":
		return [][]byte{append(data[:len(data)-10:len(data)-10], `"}`...)}
	}
	return [][]byte{data}
}

func TestNoLiarIsBelieved(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for fault, want := range map[string]string{
		"none": "", "name": "another one", "refuses": "0 of 1 accepted", "loses": "lost 1", "doubles": "doubled 1",
		"reorders": "reordered 1", "misroutes": "misrouted", "truncates": "truncated 1", "end": "ended 1",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Setenv(liarVariable, fault)
			var o options
			if err := o.flags("liar").Parse([]string{
				"-target", "loop", "-peers", self, "-connections", "5", "-mode", "saturated", "-seconds", "0.05", "-patience", "0.5", "-samples", "1",
			}); err != nil {
				t.Fatal(err)
			}
			s, err := scenarioNamed("broadcast")
			if err != nil {
				t.Fatal(err)
			}
			l := o.measure(t.Context(), s)
			if want == "" && l.Failed != "" || !strings.Contains(l.Failed, want) {
				t.Errorf("failed: %q, want %q", l.Failed, want)
			}
		})
	}
}

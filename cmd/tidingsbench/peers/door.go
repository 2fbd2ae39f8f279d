package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A peer is a server under test. As a handler it answers the upgrade requests
// of its clients, and a client whose welcome was written misses no event.
type peer interface {
	http.Handler
	// publish hands data, a JSON object, to the server for all who hear the
	// channel. Events of one caller reach a client in the order of its calls.
	// The peer may keep data.
	publish(channel string, data []byte) error
}

// running is a peer and what it is called.
type running struct {
	name    string
	version string
	path    string // of upgrade requests
	peer    peer
}

// event is an entry of POST /publish.
type event struct {
	To   string         `json:"to"`
	Data jsontext.Value `json:"data"`
}

// door is what a peer answers over HTTP.
func (r running) door() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+r.path, r.peer)
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"name": r.name, "version": r.version})
	})
	// For what an idle connection holds: garbage is not counted.
	mux.HandleFunc("POST /gc", func(w http.ResponseWriter, _ *http.Request) {
		runtime.GC()
		answer(w, map[string]int{"goroutines": runtime.NumGoroutine()})
	})
	mux.HandleFunc("POST /publish", func(w http.ResponseWriter, request *http.Request) {
		events, err := parse(request.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, e := range events {
			if err := r.peer.publish(e.To, e.Data); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		answer(w, map[string]int{"accepted": len(events)})
	})
	return mux
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, value) // who has gone needs no answer
}

// parse reads the body of POST /publish. Nothing of it is published unless all
// of it can be. It costs a fifth of what encoding/json would take: the peers
// are measured, not their door.
func parse(body io.Reader) ([]event, error) {
	var events []event
	if err := json.UnmarshalRead(body, &events); err != nil {
		return nil, err
	}
	if events == nil { // null
		return nil, errors.New("want an array")
	}
	for i, e := range events {
		if e.To == "" || e.Data.Kind() != jsontext.KindBeginObject {
			return nil, fmt.Errorf("entry %d: want a channel and an object", i)
		}
	}
	return events, nil
}

// listener tells from a client's request who it is and which channels it
// hears: everyone, its own, and those that it lists, each once.
func listener(r *http.Request) (user string, channels []string, err error) {
	query := r.URL.Query()
	user = query.Get("user")
	if user == "" {
		return "", nil, errors.New("want ?user=")
	}
	channels = []string{"everyone", "user/" + user}
	if listed := query.Get("channels"); listed != "" {
		channels = append(channels, strings.Split(listed, ",")...)
	}
	slices.Sort(channels)
	return user, slices.Compact(channels), nil
}

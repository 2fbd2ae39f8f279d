package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
)

// opsHandler is what operators see. Probes are for whoever asks.
func (n *node) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, health{Status: "alive"})
	})
	mux.HandleFunc("GET /startupz", func(w http.ResponseWriter, _ *http.Request) { probe(w, "started", n.startChecks()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { probe(w, "ready", n.readyChecks()) })
	inside := http.NewServeMux()
	inside.Handle("GET /metrics", n.telemetry.Handler())
	inside.HandleFunc("/debug/pprof/", pprof.Index)
	inside.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	inside.HandleFunc("/debug/pprof/profile", pprof.Profile)
	inside.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	inside.HandleFunc("/debug/pprof/trace", pprof.Trace)
	n.tracePaths(inside)
	n.consoleDoor(inside)
	inside.Handle("GET /{$}", http.RedirectHandler(consolePath, http.StatusFound))
	n.consolePages(mux)
	guarded := n.operatorsOnly(inside)
	mux.Handle(consoleHubPath, guarded)
	mux.Handle(consoleHubPath+"/", guarded)
	mux.Handle("/", guarded)
	return mux
}

// health is the answer to a probe.
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
	Checks  []check  `json:"checks,omitempty"`
}

// check is one thing that must be so, and the reason why it is not.
type check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Reason string `json:"-"` // is told with those of the others
}

// probe answers whether all is as it must be.
func probe(w http.ResponseWriter, status string, checks []check) {
	code, h := http.StatusOK, health{Status: status, Checks: checks}
	for _, c := range checks {
		if !c.OK {
			h.Reasons = append(h.Reasons, c.Reason)
		}
	}
	if len(h.Reasons) > 0 {
		code, h.Status = http.StatusServiceUnavailable, "not "+status
	}
	answer(w, code, h)
}

// startChecks are what takes its time when a node starts.
func (n *node) startChecks() []check {
	return []check{{"log read", n.ready.Load(), "the log has not been read yet"}}
}

// readyChecks tell whether the node should be sent anybody.
func (n *node) readyChecks() []check {
	followed := n.log.Health()
	checks := append(
		n.startChecks(),
		check{"running", !n.draining.Load(), "the server is stopping"},
		check{"nats", n.nats.Connected(), "NATS cannot be reached"},
		check{"log followed", followed == nil, fmt.Sprint("the log cannot be followed: ", followed)},
	)
	if n.embedded != nil {
		store := n.embedded.Health()
		checks = append(checks, check{"store", store == nil, fmt.Sprint("the store of the log: ", store)})
	}
	return checks
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller may be gone
}

package main

import (
	"encoding/json"
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
	mux.Handle("/", n.operatorsOnly(inside))
	return mux
}

// health is the answer to a probe.
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
	Checks  []check  `json:"checks,omitempty"`
}

// check is one thing that must be so.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

// checks collects what must be so, and why it is not.
type checks struct{ health }

// not is the reason against a check, or none.
func not(ok bool, reason string) string { //nolint:revive // it is what it says
	if ok {
		return ""
	}
	return reason
}

// wrong is the reason that an error is, or none.
func wrong(err error, reason string) string {
	if err == nil {
		return ""
	}
	return reason + ": " + err.Error()
}

func (c *checks) add(name, reason string) {
	c.Checks = append(c.Checks, check{name, reason == ""})
	if reason != "" {
		c.Reasons = append(c.Reasons, reason)
	}
}

// probe answers whether all is as it must be.
func probe(w http.ResponseWriter, status string, c checks) {
	code := http.StatusOK
	c.Status = status
	if len(c.Reasons) > 0 {
		code, c.Status = http.StatusServiceUnavailable, "not "+status
	}
	answer(w, code, c.health)
}

// startChecks are what takes its time when a node starts.
func (n *node) startChecks() (c checks) {
	c.add("log read", not(n.ready.Load(), "the log has not been read yet"))
	return c
}

// readyChecks tell whether the node should be sent anybody.
func (n *node) readyChecks() (c checks) {
	c.add("running", not(!n.draining.Load(), "the server is stopping"))
	c.add("log read", not(n.ready.Load(), "the log has not been read yet"))
	c.add("nats", not(n.nats.Connected(), "NATS cannot be reached"))
	c.add("log followed", wrong(n.log.Health(), "the log cannot be followed"))
	if n.embedded != nil {
		c.add("store", wrong(n.embedded.Health(), "the store of the log"))
	}
	return c
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller may be gone
}

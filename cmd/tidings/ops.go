package main

import (
	"encoding/json"
	"net/http"
	"net/http/pprof"
)

// opsHandler is what operators see.
func (n *node) opsHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, health{Status: "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if reasons := n.notReady(); len(reasons) > 0 {
			answer(w, http.StatusServiceUnavailable, health{Status: "not ready", Reasons: reasons})
			return
		}
		answer(w, http.StatusOK, health{Status: "ready"})
	})
	mux.Handle("GET /metrics", n.telemetry.Handler())
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// health is the answer to a probe.
type health struct {
	Status  string   `json:"status"`
	Reasons []string `json:"reasons,omitempty"`
}

// notReady says why the node should not be sent anybody.
func (n *node) notReady() []string {
	var reasons []string
	if n.draining.Load() {
		reasons = append(reasons, "the server is stopping")
	}
	if !n.ready.Load() {
		reasons = append(reasons, "the log has not been read yet")
	}
	if !n.nats.Connected() {
		reasons = append(reasons, "NATS cannot be reached")
	}
	if err := n.log.Health(); err != nil {
		reasons = append(reasons, "the log cannot be followed: "+err.Error())
	}
	return reasons
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the caller may be gone
}

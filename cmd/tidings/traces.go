package main

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tidings/telemetry"
)

// tracePaths are where operators find the newest traces, and where emitters and
// browsers may send their spans to (OTLP/HTTP).
func (n *node) tracePaths(mux *http.ServeMux) {
	if n.telemetry.Spans == nil {
		mux.HandleFunc("/v1/traces", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusNotFound, health{Status: "refused", Reasons: []string{"no spans are kept: span-bytes is 0"}})
		})
		return
	}
	mux.HandleFunc("GET /v1/traces", n.listTraces)
	mux.HandleFunc("GET /v1/traces/{id}", n.showTrace)
	mux.Handle("POST /v1/traces", n.telemetry.Spans)
}

func (n *node) listTraces(w http.ResponseWriter, r *http.Request) {
	q, err := traceQuery(r.URL.Query())
	if err != nil {
		answer(w, http.StatusBadRequest, health{Status: "refused", Reasons: []string{err.Error()}})
		return
	}
	answer(w, http.StatusOK, n.telemetry.Spans.Traces(q))
}

// traceQuery reads text, service, failed, least (a duration) and limit.
func traceQuery(values url.Values) (q telemetry.TraceQuery, err error) {
	for name := range values {
		value := values.Get(name)
		switch name {
		case "text":
			q.Text = value
		case "service":
			q.Service = value
		case "failed":
			q.Failed, err = strconv.ParseBool(value)
		case "least":
			q.Least, err = time.ParseDuration(value)
		case "limit":
			q.Limit, err = strconv.Atoi(value)
			if err == nil && q.Limit < 1 {
				err = errors.New("want 1 or more")
			}
		default:
			return q, errors.New("no such parameter; want text, service, failed, least or limit")
		}
		if err != nil {
			return q, errors.New(name + ": want failed=true, least=250ms or limit=50")
		}
	}
	return q, nil
}

func (n *node) showTrace(w http.ResponseWriter, r *http.Request) {
	spans, err := n.telemetry.Spans.Trace(r.PathValue("id"))
	switch {
	case err != nil:
		answer(w, http.StatusBadRequest, health{Status: "refused", Reasons: []string{err.Error()}})
	case len(spans) == 0:
		answer(w, http.StatusNotFound, health{Status: "refused", Reasons: []string{"no span of this trace is kept"}})
	default:
		answer(w, http.StatusOK, spans)
	}
}

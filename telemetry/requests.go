package telemetry

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Requests times the requests of a handler (http.server.request.duration), by
// method, pattern and status. What lasts as long as its client likes is no request
// whose duration says anything, and is passed over: streams of events, and
// everything at and below the paths of hubs.
func (m *Metrics) Requests(next http.Handler, hubs ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.ContainsFunc(hubs, func(path string) bool { return r.URL.Path == path || strings.HasPrefix(r.URL.Path, path+"/") }) {
			next.ServeHTTP(w, r)
			return
		}
		began, a := time.Now(), &answer{ResponseWriter: w}
		next.ServeHTTP(a, r)
		if !a.endless() {
			m.requested(r, a.status(), time.Since(began))
		}
	})
}

func (m *Metrics) requested(r *http.Request, code int, took time.Duration) {
	attributes := []attribute.KeyValue{
		attribute.String("http.request.method", knownMethod(r.Method)),
		attribute.Int("http.response.status_code", code),
	}
	if route := routeOf(r.Pattern); route != "" {
		attributes = append(attributes, attribute.String("http.route", route))
	}
	m.requests.Record(m.ctx, took.Seconds(), metric.WithAttributes(attributes...))
	if code >= 400 {
		m.blameStatus(code)
	}
}

// knownMethod is a method, or _OTHER for one that somebody has made up
// (OpenTelemetry, "HTTP spans").
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "_OTHER"
}

// routeOf is the path of a pattern of http.ServeMux. The pattern is that of the
// innermost mux: each notes its own in the request.
func routeOf(pattern string) string {
	if _, path, hasMethod := strings.Cut(pattern, " "); hasMethod {
		return path
	}
	return pattern
}

// answer notes the status of a response.
type answer struct {
	http.ResponseWriter

	code int // 0 = nothing has been written
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(code int) {
	final := code >= 200 || code == http.StatusSwitchingProtocols
	if final && a.code == 0 {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	if a.code == 0 {
		a.code = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Flush implements http.Flusher.
func (a *answer) Flush() {
	_ = http.NewResponseController(a.ResponseWriter).Flush() // what cannot be flushed is not buffered
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) status() int {
	if a.code == 0 {
		return http.StatusOK
	}
	return a.code
}

func (a *answer) endless() bool {
	return a.code == http.StatusSwitchingProtocols || strings.HasPrefix(a.Header().Get("Content-Type"), "text/event-stream")
}

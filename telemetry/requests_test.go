package telemetry_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// site is a mux within a mux, as those of a node are.
func site() http.Handler {
	inner := http.NewServeMux()
	inner.HandleFunc("GET /v1/users/{user}/inbox", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "[]") })
	inner.HandleFunc("/v1/users/{user}/inbox", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) })
	inner.HandleFunc("GET /v1/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusInternalServerError)
	})
	inner.HandleFunc("GET /v1/silent", func(http.ResponseWriter, *http.Request) {})
	outer := http.NewServeMux()
	outer.Handle("/v1/", inner)
	outer.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
	})
	outer.HandleFunc("/hubs/", func(http.ResponseWriter, *http.Request) {})
	return outer
}

func TestRequestsAreTimed(t *testing.T) {
	for _, test := range []struct{ name, method, path, want string }{
		{"route", "GET", "/v1/users/ann/inbox", `{http_request_method="GET",http_response_status_code="200",http_route="/v1/users/{user}/inbox"} 1`},
		{"other method", "PUT", "/v1/users/ann/inbox", `{http_request_method="PUT",http_response_status_code="405",http_route="/v1/users/{user}/inbox"} 1`},
		{"made up method", "BREW", "/v1/users/ann/inbox", `{http_request_method="_OTHER",http_response_status_code="405",http_route="/v1/users/{user}/inbox"} 1`},
		{"no such path", "GET", "/nowhere", `{http_request_method="GET",http_response_status_code="404"} 1`},
		{"hints come before the status", "GET", "/v1/broken", `{http_request_method="GET",http_response_status_code="500",http_route="/v1/broken"} 1`},
		{"nothing is said", "GET", "/v1/silent", `{http_request_method="GET",http_response_status_code="200",http_route="/v1/silent"} 1`},
		{"a stream of events", "GET", "/events", ""},
		{"a hub", "GET", "/hubs/notifications", ""},
		{"the path of the hubs", "GET", "/hubs", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := start(t, nothing)
			r := httptest.NewRequestWithContext(t.Context(), test.method, test.path, http.NoBody)
			o.Metrics.Requests(site(), "/hubs").ServeHTTP(httptest.NewRecorder(), r)
			got := scrape(t, o)
			if test.want == "" {
				if strings.Contains(got, "http_server_request_duration") {
					t.Errorf("it was timed:\n%s", got)
				}
				return
			}
			wantLines(t, got, "http_server_request_duration_seconds_count"+test.want)
		})
	}
}

// What callers make up – hosts, methods, paths – makes no series, and is not in
// what is scraped.
func TestCallersMakeNoSeries(t *testing.T) {
	o := start(t, nothing)
	h := o.Metrics.Requests(site(), "/hubs")
	for i := range 10_000 {
		for _, path := range []string{"/v1/users/secret%d/inbox", "/secret%d", "/hubs/secret%d"} {
			r := httptest.NewRequestWithContext(t.Context(), fmt.Sprintf("SECRET%d", i), fmt.Sprintf(path, i), http.NoBody)
			r.Host = fmt.Sprintf("secret%d.example", i)
			r.Header.Set("Forwarded", "for=secret")
			h.ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	got := scrape(t, o)
	if strings.Contains(strings.ToLower(got), "secret") {
		t.Error("the scrape has what callers have said")
	}
	if n := strings.Count(got, "\nhttp_server_request_duration_seconds_count"); n != 2 {
		t.Errorf("%d sets of attributes, want 2", n)
	}
}

// The handler can do with its response what it could without: flush it, and take
// the connection over.
func TestRequestsPassResponsesOn(t *testing.T) {
	o := start(t, nothing)
	mux := http.NewServeMux()
	mux.HandleFunc("/flush", func(w http.ResponseWriter, _ *http.Request) {
		flusher, is := w.(http.Flusher)
		if !is {
			t.Error("it is no http.Flusher")
			return
		}
		_, _ = io.WriteString(w, "a")
		flusher.Flush()
	})
	mux.HandleFunc("/hijack", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb")
		_ = conn.Close()
	})
	server := httptest.NewServer(o.Metrics.Requests(mux))
	defer server.Close()
	for path, want := range map[string]string{"/flush": "a", "/hijack": "b"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(bufio.NewReader(response.Body))
		_ = response.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%s: got %q, %v, want %q", path, body, err, want)
		}
	}
}

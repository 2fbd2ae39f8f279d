package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"tidings/web"
)

var build = fstest.MapFS{
	".gitkeep":               {},
	"index.html":             {Data: []byte("<!doctype html>page")},
	"index.html.gz":          {Data: []byte("packed page")},
	"demo-AB12CD34.js":       {Data: []byte("script")},
	"demo-AB12CD34.js.gz":    {Data: []byte("packed script")},
	"demo-AB12CD34.css":      {Data: []byte("style")},
	"demo-AB12CD34.js.map":   {Data: []byte("map")},
	"secret/notes.txt":       {Data: []byte("notes")},
	"secret/index.html":      {Data: []byte("another page")},
	"secret/demo-00000.css":  {Data: []byte("another style")},
	"secret/demo-00000.html": {Data: []byte("a third page")},
}

func ask(t *testing.T, method, path, encoding string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	web.Serve(build).ServeHTTP(w, r)
	return w
}

func TestFilesAreServedWithTheirKindAndAge(t *testing.T) {
	const forever, askAgain = "public, max-age=31536000, immutable", "no-cache"
	for _, c := range []struct {
		path, encoding               string
		status                       int
		kind, cache, packed, content string
	}{
		{"/", "", 200, "text/html; charset=utf-8", askAgain, "", "<!doctype html>page"},
		{"/index.html", "br, gzip", 200, "text/html; charset=utf-8", askAgain, "gzip", "packed page"},
		{"/demo-AB12CD34.js", "gzip;q=0.5", 200, "text/javascript; charset=utf-8", forever, "gzip", "packed script"},
		{"/demo-AB12CD34.js", "gzip;q=0", 200, "text/javascript; charset=utf-8", forever, "", "script"},
		{"/demo-AB12CD34.js", "x-gzip-like", 200, "text/javascript; charset=utf-8", forever, "", "script"},
		{"/demo-AB12CD34.css", "gzip", 200, "text/css; charset=utf-8", forever, "", "style"},
		{"/../demo-AB12CD34.css", "", 200, "text/css; charset=utf-8", forever, "", "style"},
		{"/demo-AB12CD34.js.gz", "", 404, "", "", "", ""},
		{"/demo-AB12CD34.js.map", "", 404, "", "", "", ""},
		{"/.gitkeep", "", 404, "", "", "", ""},
		{"/secret/notes.txt", "", 404, "", "", "", ""},
		{"/secret", "", 404, "", "", "", ""},
		{"/secret/", "", 404, "", "", "", ""},
		{"/secret/index.html", "", 404, "", "", "", ""},
		{"/secret/demo-00000.css", "", 404, "", "", "", ""},
		{"/nothing", "", 404, "", "", "", ""},
	} {
		t.Run(c.path+" "+c.encoding, func(t *testing.T) {
			w := ask(t, http.MethodGet, c.path, c.encoding)
			if w.Code != c.status {
				t.Fatalf("status: got %d, want %d", w.Code, c.status)
			}
			if c.status != http.StatusOK {
				return
			}
			for name, want := range map[string]string{"Content-Type": c.kind, "Cache-Control": c.cache, "Content-Encoding": c.packed} {
				if got := w.Header().Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if got := w.Body.String(); got != c.content {
				t.Errorf("got %q, want %q", got, c.content)
			}
		})
	}
}

func TestEveryAnswerIsSecured(t *testing.T) {
	for _, path := range []string{"/", "/demo-AB12CD34.js", "/nothing"} {
		h := ask(t, http.MethodGet, path, "").Header()
		policy := h.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q allows what is unsafe", path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Referrer-Policy": "no-referrer",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s: got %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestOtherCachesKeepTheFormsApart(t *testing.T) {
	for _, encoding := range []string{"", "gzip"} {
		if got := ask(t, http.MethodGet, "/", encoding).Header().Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("%q: Vary: got %q", encoding, got)
		}
	}
}

func TestOnlyReading(t *testing.T) {
	w := ask(t, http.MethodPost, "/", "")
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("got %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
	w = ask(t, http.MethodHead, "/", "")
	if w.Code != http.StatusOK || w.Header().Get("Content-Length") != "19" {
		t.Errorf("HEAD: got %d, length %q", w.Code, w.Header().Get("Content-Length"))
	}
}

func TestABuildWithoutPagesSaysSo(t *testing.T) {
	w := httptest.NewRecorder()
	web.Serve(fstest.MapFS{".gitkeep": {}}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "make web") {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

func TestHandlerServesThisBuild(t *testing.T) {
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK && w.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", w.Code)
	}
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("Content-Type: got %q", got)
	}
}

func TestConsoleLiesBelowItsPath(t *testing.T) {
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		web.Console().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	page := get("/console/")
	if page.Code != http.StatusOK && page.Code != http.StatusServiceUnavailable {
		t.Errorf("got %d", page.Code)
	}
	if got := page.Header().Get("Content-Security-Policy"); !strings.Contains(got, "require-trusted-types-for 'script'") {
		t.Errorf("policy: got %q", got)
	}
	if page.Code == http.StatusOK && !strings.Contains(page.Body.String(), "./console-") {
		t.Errorf("got %q", page.Body)
	}
	if w := get("/console"); w.Code/100 != 3 || w.Header().Get("Location") != "/console/" {
		t.Errorf("without a slash: got %d to %q", w.Code, w.Header().Get("Location"))
	}
	for _, path := range []string{"/", "/index.html", "/console/console/", "/console/nothing.js"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: got %d", path, w.Code)
		}
	}
}

func TestDemoDoesNotServeTheConsole(t *testing.T) {
	w := httptest.NewRecorder()
	web.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/console/index.html", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("got %d", w.Code)
	}
}

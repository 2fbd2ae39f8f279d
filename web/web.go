// Package web is the browser side of Tidings: the demo page and the console,
// bundled by `make` and embedded into the program.
package web

import (
	"embed"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed all:dist
var dist embed.FS

// policy lets a page load what the server itself serves, and nothing inline.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"

const notBuilt = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Tidings</title>
<p>The pages are not part of this build: run <code>make web</code> and build again. Everything else works.
`

// How long a browser may keep a file: for ever if its name holds a hash of
// what is in it, otherwise it asks again.
const (
	forever  = "public, max-age=31536000, immutable"
	askAgain = "no-cache"
)

// Handler serves the demo page of this build. A build without pages says so.
func Handler() http.Handler { return Serve(folder("dist")) }

// Console serves the console of this build below /console/. A build without
// pages says so.
func Console() http.Handler {
	mux := http.NewServeMux() // leads /console to /console/
	mux.Handle("/console/", http.StripPrefix("/console", Serve(folder("dist/console"))))
	return mux
}

func folder(name string) fs.FS {
	files, err := fs.Sub(dist, name)
	if err != nil {
		panic(err) // the name is a constant
	}
	return files
}

// Serve serves the page in files: index.html and its bundles, each with a
// packed form (.gz) beside it that is sent to whoever takes it. Folders within
// are pages of their own, and not served.
func Serve(files fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Method not allowed.", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
		if name == "" || name == "." {
			name = "index.html"
		}
		serve(w, r, files, name)
	})
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
}

func serve(w http.ResponseWriter, r *http.Request, files fs.FS, name string) {
	h := w.Header()
	kind := contentType(name)
	body, err := fs.ReadFile(files, name)
	switch {
	case err != nil && name == "index.html":
		h.Set("Content-Type", kind)
		h.Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(notBuilt)) // the caller may be gone
		return
	case err != nil || kind == "" || strings.Contains(name, "/"):
		http.Error(w, "There is nothing at this path.", http.StatusNotFound)
		return
	}
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", forever)
	if name == "index.html" {
		h.Set("Cache-Control", askAgain)
	}
	if packed, err := fs.ReadFile(files, name+".gz"); err == nil {
		h.Add("Vary", "Accept-Encoding")
		if takesGzip(r.Header.Values("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = packed
		}
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) //nolint:gosec // a file of the build; if the caller is gone there is nobody to tell
}

// contentType is that of a file that a page is made of; empty for any other,
// which is not served. What the machine thinks of file names does not matter.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	default:
		return ""
	}
}

// takesGzip reads Accept-Encoding (RFC 9110 §12.5.3). A weight of 0 refuses.
func takesGzip(accepted []string) bool {
	for part := range strings.SplitSeq(strings.Join(accepted, ","), ",") {
		coding, weight, _ := strings.Cut(part, ";")
		if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			continue
		}
		_, value, weighted := strings.Cut(weight, "=")
		q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return !weighted || (err == nil && q > 0)
	}
	return false
}

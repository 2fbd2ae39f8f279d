package rest

import (
	_ "embed"
	"net/http"
)

// openAPI describes every route; the tests hold both against each other. JSON is
// YAML too.
//
//go:embed openapi.json
var openAPI []byte

func serveOpenAPI(contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(openAPI) // the caller may be gone; there is nobody to tell
	}
}

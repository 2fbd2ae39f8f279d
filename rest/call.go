package rest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"tidings/notifications"
	"tidings/roles"
)

// The bounds of a request.
const (
	maxEvents   = 1000
	maxBody     = 16 << 20  // of events
	maxDocument = 256 << 10 // of everything else
	maxKey      = 256
)

// bodyKind says what a route wants to be sent.
type bodyKind int

const (
	noBody           bodyKind = iota
	document                  // a JSON object
	optionalDocument          // the same, or nothing
	events                    // in any encoding; the route looks at it
)

// call is a request of a caller who is known.
type call struct {
	*http.Request

	// asker is the caller, about the user that the path names.
	asker notifications.Asker
	query url.Values
	body  []byte
}

// viaHTTP is the door of the audit.
const viaHTTP = "http"

func (c *call) emitter() notifications.Emitter {
	return notifications.Emitter{Principal: c.asker.Principal, Hub: c.asker.Hub, Via: viaHTTP}
}

// reply is an answer. The zero value says 200 and nothing.
type reply struct {
	status      int
	contentType string // default application/json
	header      http.Header
	body        any // nil = none
}

// with adds a header.
func (a reply) with(name, value string) reply {
	if a.header == nil {
		a.header = make(http.Header)
	}
	a.header.Set(name, value)
	return a
}

// done is the answer to what went well and has nothing to show.
func done() reply { return reply{status: http.StatusNoContent} }

// serve answers one route, in a span of its own.
func (h *Handler) serve(rt route) http.HandlerFunc {
	if rt.open != nil {
		return rt.open
	}
	return func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := h.tracer.Start(ctx, rt.method+" "+rt.path, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("http.request.method", r.Method),
			attribute.String("http.route", rt.path),
		))
		defer span.End()
		answer, err := h.answer(r.WithContext(ctx), rt)
		if err != nil {
			answer = h.failed(r, err)
		}
		if answer.status == 0 {
			answer.status = http.StatusOK
		}
		span.SetAttributes(attribute.Int("http.response.status_code", answer.status))
		if answer.status >= http.StatusInternalServerError { // what a client does wrong is no error of a server
			span.SetStatus(codes.Error, http.StatusText(answer.status))
		}
		write(w, answer)
	}
}

// answer authenticates, reads the request and lets the route do the rest.
func (h *Handler) answer(r *http.Request, rt route) (reply, error) {
	token, err := roles.HeaderToken(r)
	if err != nil {
		return reply{}, err
	}
	caller, err := h.o.Verifier.Verify(r.Context(), token)
	if err != nil {
		return reply{}, err
	}
	c := &call{Request: r}
	if c.query, err = rt.parameters(r.URL.RawQuery); err != nil {
		return reply{}, err
	}
	hub, err := hubOf(c.query)
	if err != nil {
		return reply{}, err
	}
	c.asker = notifications.Asker{Principal: caller, Hub: hub, User: r.PathValue("user"), Via: viaHTTP}
	if c.body, err = readBody(r, rt.body); err != nil {
		return reply{}, err
	}
	return rt.serve(c)
}

// parameters reads a query. A parameter that is not known would be one that is
// not obeyed; emitters alone are let pass with theirs.
func (rt route) parameters(raw string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if rt.body == events {
		return query, nil
	}
	if err != nil { // its text would repeat what may be a secret
		return nil, &requestError{status: http.StatusBadRequest, detail: "The query cannot be read: a percent sign or a semicolon is out of place."}
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case slices.Contains(rt.many, name):
		case name != "hub" && !slices.Contains(rt.query, name):
			return nil, unfit(clip(name), "no such parameter; this path takes "+strings.Join(rt.taken(), ", "))
		case len(query[name]) > 1:
			return nil, unfit(name, "is given more than once")
		}
	}
	return query, nil
}

// taken are the names of all parameters of a route.
func (rt route) taken() []string {
	names := slices.Concat([]string{"hub"}, rt.query, rt.many)
	slices.Sort(names)
	return names
}

// hubOf is the hub a request is about.
func hubOf(query url.Values) (string, error) {
	hub := query.Get("hub")
	if hub == "" {
		return notifications.DefaultHub, nil
	}
	if len(hub) > maxKey || !utf8.ValidString(hub) {
		return "", &requestError{http.StatusBadRequest, "hub wants 1 to 256 bytes of UTF-8.", "hub"}
	}
	return hub, nil
}

// readBody reads no more than may be accepted. One that would not be looked at
// is refused: it would not be obeyed.
func readBody(r *http.Request, kind bodyKind) ([]byte, error) {
	limit := maxDocument
	if kind == events {
		limit = maxBody
	}
	if r.ContentLength > int64(limit) {
		return nil, tooLarge(limit)
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
	switch {
	case err != nil:
		return nil, &requestError{status: http.StatusBadRequest, detail: "The body could not be read."}
	case len(body) > limit:
		return nil, tooLarge(limit)
	case kind == events:
		return body, nil
	}
	body = bytes.TrimSpace(body)
	switch {
	case kind == noBody && len(body) > 0:
		return nil, &requestError{status: http.StatusBadRequest, detail: "This path takes no body."}
	case kind != document && len(body) == 0:
		return nil, nil
	}
	return body, checkJSON(r, body)
}

// checkJSON refuses what is no JSON at all; what it says is the route's to judge.
func checkJSON(r *http.Request, body []byte) error {
	if contentType := mediaType(r); !slices.Contains([]string{"", "application/json", formType}, contentType) {
		return &requestError{status: http.StatusUnsupportedMediaType, detail: "Content-Type wants to be application/json."}
	}
	var raw json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil {
		return &requestError{status: http.StatusBadRequest, detail: "The body is no valid JSON: " + err.Error() + "."}
	}
	return nil
}

// formType is what curl -d says of anything.
const formType = "application/x-www-form-urlencoded"

// mediaType is the content type of a request without its parameters; empty when
// it has none.
func mediaType(r *http.Request) string {
	header := r.Header.Get("Content-Type")
	if header == "" {
		return ""
	}
	contentType, _, err := mime.ParseMediaType(header)
	if err != nil || contentType == "" {
		return "unreadable"
	}
	return contentType
}

func tooLarge(limit int) error {
	return &requestError{status: http.StatusRequestEntityTooLarge, detail: "The body is larger than " + strconv.Itoa(limit) + " bytes."}
}

// object cuts a document into its fields, which are no others than those named.
func object(body []byte, names ...string) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if len(body) == 0 {
		return fields, nil
	}
	if err := json.Unmarshal(body, &fields); err != nil || fields == nil { // nil: null
		return nil, unfit("", "want a JSON object with "+strings.Join(names, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(names, name) {
			return nil, unfit(clip(name), "no such field; want "+strings.Join(names, ", "))
		}
	}
	return fields, nil
}

// unfit is what is wrong with one parameter or field.
func unfit(field, reason string) error {
	return &notifications.InvalidError{Of: "request", Field: field, Reason: reason}
}

// clip keeps an error text short whatever came in.
func clip(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}

package telemetry

import (
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	rpc "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The bounds of an export request, as it comes and unpacked.
const (
	exportBytes   = 4 << 20
	unpackedBytes = 16 << 20
)

// ServeHTTP receives spans (OTLP 1.10, "OTLP/HTTP"), packed or not.
func (s *Spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	contentType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	isJSON := strings.EqualFold(strings.TrimSpace(contentType), "application/json")
	if !isJSON && !strings.EqualFold(strings.TrimSpace(contentType), "application/x-protobuf") {
		otlpRefusal(w, isJSON, http.StatusUnsupportedMediaType, "Content-Type wants to be application/x-protobuf or application/json")
		return
	}
	body, code, err := exportBody(w, r)
	if err != nil {
		otlpRefusal(w, isJSON, code, err.Error())
		return
	}
	refused, err := s.Take(body, isJSON)
	if err != nil {
		otlpRefusal(w, isJSON, http.StatusBadRequest, err.Error())
		return
	}
	otlpAnswer(w, isJSON, refused)
}

var (
	errTooMuch  = errors.New("the body is too large: at most 4 MiB, and 16 MiB unpacked")
	errEncoding = errors.New("Content-Encoding wants to be gzip, or absent")
	errPacked   = errors.New("the body cannot be unpacked")
)

// exportBody reads and unpacks a body, and stops where it becomes too large.
func exportBody(w http.ResponseWriter, r *http.Request) (body []byte, code int, err error) {
	var from io.Reader = http.MaxBytesReader(w, r.Body, exportBytes)
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "gzip":
		unpacked, broken := gzip.NewReader(from)
		if broken != nil {
			return nil, http.StatusBadRequest, errPacked
		}
		from = unpacked
	default:
		return nil, http.StatusUnsupportedMediaType, errEncoding
	}
	body, err = io.ReadAll(io.LimitReader(from, unpackedBytes+1))
	if _, long := errors.AsType[*http.MaxBytesError](err); long || len(body) > unpackedBytes {
		return nil, http.StatusRequestEntityTooLarge, errTooMuch
	}
	if err != nil {
		return nil, http.StatusBadRequest, errPacked
	}
	return body, 0, nil
}

// otlpAnswer says that all was taken, or how much was not.
func otlpAnswer(w http.ResponseWriter, asJSON bool, refused int) {
	response := new(collector.ExportTraceServiceResponse)
	if refused > 0 {
		response.PartialSuccess = &collector.ExportTracePartialSuccess{
			RejectedSpans: int64(refused), ErrorMessage: "spans without ids, or that end before they begin, are not kept",
		}
	}
	otlpWrite(w, asJSON, http.StatusOK, response)
}

func otlpRefusal(w http.ResponseWriter, asJSON bool, code int, message string) {
	otlpWrite(w, asJSON, code, rpc.New(codes.InvalidArgument, message).Proto())
}

func otlpWrite(w http.ResponseWriter, asJSON bool, code int, message proto.Message) { //nolint:revive // the caller speaks one of two encodings
	contentType, encode := "application/x-protobuf", proto.Marshal
	if asJSON {
		contentType, encode = "application/json", protojson.Marshal
	}
	body, err := encode(message)
	if err != nil { // it is ours, and can be encoded
		code = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(code)
	_, _ = w.Write(body) // the caller may be gone
}

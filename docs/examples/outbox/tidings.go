package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Tidings is the server, as far as a relay needs it.
type Tidings struct {
	URL string // such as http://127.0.0.1:8080
	// Token returns the token of an emitter. It is asked each time, because
	// tokens end.
	Token  func() (string, error)
	Client *http.Client
}

// RefusedError says that an event will never be taken as it is.
type RefusedError struct {
	Status int
	Detail string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, http.StatusText(e.Status), e.Detail)
}

// AwayError says that nothing is taken at the moment. The event may have been
// stored all the same.
type AwayError struct {
	Status     int
	Detail     string
	RetryAfter time.Duration // 0 = the server does not say
}

func (e *AwayError) Error() string {
	return fmt.Sprintf("server answered %d %s: %s", e.Status, http.StatusText(e.Status), e.Detail)
}

// Publish stores an event and returns its position, or that of the event of the
// same id that the log remembers; 0 = it is scheduled and has none yet.
func (t *Tidings) Publish(ctx context.Context, event []byte) (position int64, err error) {
	got, err := t.call(ctx, http.MethodPost, "/v1/notifications", event)
	if err != nil {
		return 0, err
	}
	if got.status == http.StatusOK && got.Position > 0 || got.status == http.StatusAccepted && got.ID != "" {
		return got.Position, nil
	}
	return 0, got.failure()
}

// Find returns the position of an event, 0 for one that is scheduled; found is
// false when the server has no event of that id.
func (t *Tidings) Find(ctx context.Context, id string) (position int64, found bool, err error) {
	got, err := t.call(ctx, http.MethodGet, "/v1/notifications/"+url.PathEscape(id), nil)
	switch {
	case err != nil:
		return 0, false, err
	case got.status == http.StatusOK && got.ID == id:
		return append(got.Positions, 0)[0], true, nil
	case got.said(http.StatusNotFound):
		return 0, false, nil
	}
	return 0, false, got.failure()
}

// reply is what is read of an answer.
type reply struct {
	ID        string
	Position  int64
	Positions []int64 // oldest first; two when the event was stored twice
	Status    int     // of a problem (RFC 9457)
	Detail    string

	status     int
	retryAfter time.Duration
}

// said tells whether a problem is the word of the server, not of a proxy.
func (r reply) said(status ...int) bool {
	return slices.Contains(status, r.status) && r.Status == r.status
}

// failure is an answer that is none: for good, or for now. A token that has
// ended, for one, is no fault of the event.
func (r reply) failure() error {
	if r.said(http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity) {
		return &RefusedError{r.status, r.Detail}
	}
	return &AwayError{r.status, r.Detail, r.retryAfter}
}

// call returns the answer of the server, whatever its status.
func (t *Tidings) call(ctx context.Context, method, path string, body []byte) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, t.URL+path, bytes.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	token, err := t.Token()
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := t.Client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return reply{}, err
	}
	var got reply
	_ = json.Unmarshal(text, &got)                                 // what is no JSON, of a proxy, has the status alone
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // none, or a date, is 0
	got.status, got.retryAfter = response.StatusCode, time.Duration(seconds)*time.Second
	return got, nil
}

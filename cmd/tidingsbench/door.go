//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// door is where a client comes in, and what it shows.
type door struct {
	server *target
	token  string // of its user; empty for nobody
}

func (t *target) door(user string) (door, error) {
	if t.secret == nil {
		return door{server: t}, nil
	}
	token, err := t.token(user)
	return door{t, token}, err
}

func (d door) dial(ctx context.Context) (net.Conn, error) {
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", d.server.http)
}

// request is one to the hub. What stands behind its path may be "/negotiate" or
// empty, with a query.
func (d door) request(ctx context.Context, method, behind string, body []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+d.server.http+d.server.hub+behind, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if d.token != "" {
		r.Header.Set("Authorization", "Bearer "+d.token)
	}
	return r, nil
}

// raw is a GET as it stands on the wire.
func (d door) raw(ctx context.Context, query string, header map[string]string) ([]byte, error) {
	r, err := d.request(ctx, http.MethodGet, "?"+query, nil)
	if err != nil {
		return nil, err
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	var wire bytes.Buffer
	err = r.Write(&wire)
	return wire.Bytes(), err
}

// post sends something over a connection that all clients share: what is
// measured is the transport. A browser keeps one of its own for a while.
func (d door) post(ctx context.Context, behind string, body []byte) ([]byte, error) {
	r, err := d.request(ctx, http.MethodPost, behind, body)
	if err != nil {
		return nil, err
	}
	return d.server.do(r)
}

// negotiated is the answer to negotiate, as far as it matters here.
type negotiated struct {
	ConnectionToken      string `json:"connectionToken"`
	UseStatefulReconnect bool   `json:"useStatefulReconnect"`
	Error                string `json:"error"`
}

func (d door) negotiate(ctx context.Context, query string) (negotiated, error) {
	var n negotiated
	answer, err := d.post(ctx, "/negotiate?negotiateVersion=1"+query, nil)
	if err == nil {
		err = json.Unmarshal(answer, &n)
	}
	if err == nil && n.Error != "" {
		err = errors.New(n.Error)
	}
	if err != nil {
		return n, fmt.Errorf("negotiate: %w", err)
	}
	return n, nil
}

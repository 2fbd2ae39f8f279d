//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"tidings/cmd/tidingsbench/fleet"
	"tidings/roles"
)

const hubPath = "/hubs/notifications"

// startTidings starts a node with an empty log.
func (t *target) startTidings(ctx context.Context, o options) error {
	t.toField, t.hub, t.recovers, t.dialect = "recipient", hubPath, true, fleet.SignalRJSON()
	if o.encoding == "messagepack" {
		t.dialect = fleet.SignalRMessagePack()
	}
	var err error
	if t.version, err = tidingsVersion(ctx, o.tidings); err != nil {
		return err
	}
	if t.dir, err = os.MkdirTemp("", "tidingsbench-"); err != nil {
		return err
	}
	args := append([]string{
		"serve", "--dev", "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--nats-listen", "off",
		"--data", t.dir, "--log-level", "warn", "--sync", o.sync,
	}, o.settings...)
	t.launch = func(ctx context.Context) error { return t.run(ctx, o.tidings, args...) }
	if err = t.launch(ctx); err != nil {
		return errors.Join(err, os.RemoveAll(t.dir))
	}
	if err = t.identifyTidings(ctx); err != nil {
		return errors.Join(err, t.stop())
	}
	t.admit, t.publish = t.admitToTidings, t.publishToTidings
	return nil
}

// restart starts a new process on the log of the old one.
func (t *target) restart(ctx context.Context) error {
	t.client.CloseIdleConnections()
	err := t.process.stop()
	t.process = nil
	if err == nil {
		err = t.launch(ctx)
	}
	if err == nil {
		err = t.identifyTidings(ctx)
	}
	return err
}

// tidingsVersion asks the program who it is.
func tidingsVersion(ctx context.Context, program string) (string, error) {
	const longest = 10 * time.Second // another program may not end
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "version").Output()
	if err != nil {
		return "", fmt.Errorf("%s version (has it been built?): %w", program, err)
	}
	version, named := strings.CutPrefix(strings.TrimSpace(string(out)), "tidings ")
	if !named {
		return "", fmt.Errorf("the server is another one: it says of itself %.200q", out)
	}
	return version, nil
}

// identifyTidings checks who is listening, and learns the secret of its tokens.
func (t *target) identifyTidings(ctx context.Context) error {
	answer, err := t.ask(ctx, http.MethodGet, "/openapi.json", nil)
	if err != nil {
		return err
	}
	var api struct {
		Info struct{ Title string }
	}
	if err = json.Unmarshal(answer, &api); err != nil {
		return fmt.Errorf("/openapi.json: %w", err)
	}
	if t.ready[0] != nameTidings || api.Info.Title != "Tidings" {
		return fmt.Errorf("the server is another one: %q, and its API is that of %q", t.ready, api.Info.Title)
	}
	t.ops = t.field("ops")
	secret, err := os.ReadFile(filepath.Join(t.dir, "dev-secret"))
	if err != nil {
		return err
	}
	t.secret = bytes.TrimSpace(secret)
	t.emitter, err = t.token("bench", "admin")
	return err
}

func (t *target) token(user string, held ...string) (string, error) {
	return roles.Mint(t.secret, roles.Grant{UserID: user, Roles: held, TTL: time.Hour, Now: time.Now()})
}

// admitToTidings makes a person a durable member of their groups; their roles
// are in the token.
func (t *target) admitToTidings(ctx context.Context, p person) (request, error) {
	for _, group := range p.groups {
		path := "/v1/groups/" + url.PathEscape(group) + "/members/" + url.PathEscape(p.user)
		if _, err := t.ask(ctx, http.MethodPut, path, nil); err != nil {
			return nil, err
		}
	}
	token, err := t.token(p.user, p.roles...)
	return func(cursor string) []byte {
		path := t.hub
		if cursor != "" {
			path += "?cursor=" + url.QueryEscape(cursor)
		}
		return upgrade(t.http, path, token)
	}, err
}

func (t *target) publishToTidings(ctx context.Context, body []byte, n int) error {
	answer, err := t.ask(ctx, http.MethodPost, "/v1/notifications", body)
	if err != nil {
		return err
	}
	var receipts []struct {
		Position  uint64
		Duplicate bool
	}
	if err = json.Unmarshal(answer, &receipts); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if len(receipts) != n {
		return fmt.Errorf("publish: %d of %d acknowledged", len(receipts), n)
	}
	for i, r := range receipts {
		if r.Position == 0 || r.Duplicate {
			return fmt.Errorf("publish: event %d of %d was not stored", i, n)
		}
	}
	return nil
}

// startConformance starts the example that has a method which echoes. It has
// no log, and asks nobody who they are.
func (o options) startConformance(ctx context.Context) (*target, error) {
	cpus, err := serverCPUs(o.serverCPU)
	if err != nil {
		return nil, err
	}
	t := newTarget("conformance", cpus)
	t.hub = "/hubs/conformance"
	return t, t.run(ctx, o.conformance, "-http", "127.0.0.1:0")
}

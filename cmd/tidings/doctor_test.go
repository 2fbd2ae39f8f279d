package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tidings/persistence"
)

// examined runs the doctor and returns its findings by their check.
func examined(t *testing.T, args ...string) (map[string]finding, error) {
	t.Helper()
	base := []string{"doctor", "--json", "--auth-secret", strings.Repeat("s", 32), "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0"}
	out, err := command(t, append(base, args...)...)
	var list []finding
	if bad := json.Unmarshal([]byte(out), &list); bad != nil {
		t.Fatalf("%v: %s (%v)", bad, out, err)
	}
	found := make(map[string]finding)
	for _, f := range list {
		if _, twice := found[f.Check]; twice {
			t.Errorf("%s was checked twice: %s", f.Check, out)
		}
		found[f.Check] = f
	}
	return found, err
}

func want(t *testing.T, found map[string]finding, check string, is status, text string) {
	t.Helper()
	if f := found[check]; f.Status != is || !strings.Contains(f.Found, text) {
		t.Errorf("%s: got %+v, want %s and %q", check, f, is, text)
	}
	if f := found[check]; (f.Status == warning || f.Status == failed) && f.Advice == "" && check != "policy" && check != "identity" {
		t.Errorf("%s: %s without advice", check, f.Status)
	}
}

func TestDoctorBeforeTheFirstStart(t *testing.T) {
	data := filepath.Join(t.TempDir(), "not", "there")
	found, err := examined(t, "--data", data)
	if err != nil {
		t.Error(err)
	}
	want(t, found, "settings", fine, "complete")
	want(t, found, "identity", fine, "1 issuers")
	want(t, found, "http", fine, "free")
	want(t, found, "nats", fine, "no log yet")
	if _, err := os.Stat(data); err == nil {
		t.Error("the doctor has made the directory")
	}
}

func TestDoctorLooksAtANode(t *testing.T) {
	data := t.TempDir()
	node := begin(t, data)
	found, err := examined(t, "--data", data, "--http", node.http)
	if err == nil || !strings.Contains(err.Error(), "1 of ") {
		t.Errorf("got %v, want one failed check", err)
	}
	want(t, found, "http", failed, "in use")
	want(t, found, "nats", skipped, "a node is running")
	node.end(t)

	found, err = examined(t, "--data", data)
	if err != nil {
		t.Errorf("after its end: %v, %+v", err, found)
	}
	want(t, found, "nats", fine, "version 2.")
	want(t, found, "TIDINGS", fine, "messages")
	want(t, found, "clock", fine, "differ by")

	found, err = examined(t, "--data", data, "--max-age", "1h", "--max-bytes", "4000TiB")
	if err == nil {
		t.Error("another shape is no failure")
	}
	want(t, found, "TIDINGS", failed, "max_age is 720h0m0s, want 1h0m0s")
	want(t, found, "disk", warning, "may grow to 4000TiB")
}

func TestDoctorLooksAtAnOutsideServer(t *testing.T) {
	s, err := persistence.StartServer(persistence.ServerOptions{Dir: t.TempDir(), Listen: "127.0.0.1:0", Token: "hush-hush", Sync: persistence.SyncInterval})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Shutdown() }) // the test is over
	found, err := examined(t, "--nats", "nats://"+s.Addr(), "--nats-token", "hush-hush")
	if err != nil {
		t.Error(err)
	}
	want(t, found, "nats", fine, "version 2.")
	want(t, found, "TIDINGS", fine, "does not exist yet")
	if _, asked := found["disk"]; asked {
		t.Error("the disk is not this machine's")
	}
	found, err = examined(t, "--nats", "nats://hush-hush@"+s.Addr()+"x")
	if err == nil {
		t.Error("no server is no failure")
	}
	want(t, found, "nats", failed, "NATS at nats://")
	if strings.Contains(found["nats"].Found, "hush-hush") {
		t.Error("a secret is shown")
	}
}

func TestDoctorWithoutIdentity(t *testing.T) {
	out, err := command(t, "doctor", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--policy", "missing.yaml", "--nats-listen", "127.0.0.1:0")
	flat := strings.Join(strings.Fields(out), " ")
	if err == nil || !strings.Contains(flat, "failed settings no way to verify tokens") || !strings.Contains(flat, "failed policy open missing.yaml") {
		t.Errorf("got %v:\n%s", err, out)
	}
}

// A probe names what it has looked at.
func TestProbes(t *testing.T) {
	node := start(t)
	status, body := get(t, "http://"+node.ops+"/startupz")
	if status != http.StatusOK || strings.TrimSpace(body) != `{"status":"started","checks":[{"name":"log read","ok":true}]}` {
		t.Errorf("/startupz: got %d %s", status, body)
	}
	_, body = get(t, "http://"+node.ops+"/readyz")
	for _, check := range []string{"running", "log read", "nats", "log followed", "store"} {
		if !strings.Contains(body, `{"name":"`+check+`","ok":true}`) {
			t.Errorf("/readyz says nothing of %q: %s", check, body)
		}
	}
}

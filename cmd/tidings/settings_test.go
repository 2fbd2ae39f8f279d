package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// config runs `tidings config` with an environment and a configuration file.
func config(t *testing.T, file string, environ []string, args ...string) (string, error) {
	t.Helper()
	if file != "" {
		path := filepath.Join(t.TempDir(), "tidings.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	var out strings.Builder
	err := run(t.Context(), append([]string{"config"}, args...), environment{Stdout: &out, Stderr: io.Discard, Environ: environ})
	return out.String(), err
}

// setting finds a line of the output, without its alignment.
func setting(out, name string) string {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, name+":") {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return ""
}

func TestFlagsBeatTheEnvironmentBeatsTheFile(t *testing.T) {
	out, err := config(t, "http: 127.0.0.1:1\nops: 127.0.0.1:2\nmax-age: 48h\nnats:\n  listen: 127.0.0.1:3\ndev: true\nreplicas: 1\norigin: [https://a.example, https://b.example]\n",
		[]string{"TIDINGS_HTTP=127.0.0.1:4", "TIDINGS_OPS=127.0.0.1:5", "TIDINGS_PORT_80_TCP=tcp://10.0.0.1:80", "TIDINGS_SERVICE_HOST=10.0.0.1"},
		"--http", "127.0.0.1:6", "--max-bytes", "10GiB")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"http":        "http: 127.0.0.1:6 # flag",
		"ops":         "ops: 127.0.0.1:5 # environment",
		"max-age":     "max-age: 48h0m0s # file",
		"nats-listen": "nats-listen: 127.0.0.1:3 # file",
		"dev":         "dev: true # file",
		"max-bytes":   "max-bytes: 10GiB # flag",
		"event-bytes": "event-bytes: 64KiB # default",
		"sync":        "sync: interval # default",
	} {
		if got := setting(out, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if !strings.Contains(out, "- https://a.example") || !strings.Contains(out, "- https://b.example") {
		t.Errorf("origins are missing in\n%s", out)
	}
}

// What `tidings config` prints is a configuration file that means the same.
func TestConfigReadsWhatItPrints(t *testing.T) {
	first, err := config(t, "", nil, "--dev", "--nats-listen", "off", "--keep-alive", "5s", "--origin", "https://a.example", "--tail-bytes", "1000")
	if err != nil {
		t.Fatal(err)
	}
	again, err := config(t, first, nil)
	if err != nil {
		t.Fatal(err)
	}
	strip := func(text string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			value, _, _ := strings.Cut(line, " #")
			b.WriteString(strings.TrimSpace(value) + "\n")
		}
		return b.String()
	}
	if strip(again) != strip(first) {
		t.Errorf("got\n%s\nwant\n%s", again, first)
	}
}

func TestConfigMasksSecrets(t *testing.T) {
	out, err := config(t, "", []string{"TIDINGS_NATS_PASSWORD=hunter2", "TIDINGS_AUTH_SECRET=0123456789abcdef0123456789abcdef"},
		"--nats", "nats://u:pass1@a:4222,tls://u:pass2@b:4222", "--nats-token", "token3")
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter2", "0123456789abcdef", "pass1", "pass2", "token3"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is shown in\n%s", secret, out)
		}
	}
	if got, want := setting(out, "nats"), "nats: nats://********@a:4222,tls://********@b:4222 # flag"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	secret := "--auth-secret=0123456789abcdef0123456789abcdef"
	for _, test := range []struct {
		name, file string
		environ    []string
		args       []string
		want       string
	}{
		{name: "unknown flag", args: []string{"--htpp", "x"}, want: "unknown flag --htpp"},
		{name: "unknown key", file: "htpt: x\ndev: true\n", want: `unknown key "htpt"`},
		{name: "unknown nested key", file: "nats:\n  listn: x\ndev: true\n", want: `unknown key "nats-listn"; did you mean "nats-listen"?`},
		{name: "key twice", file: "nats-listen: a\nnats:\n  listen: b\n", want: `key "nats-listen" is given twice`},
		{name: "no YAML", file: "{", want: "yaml"},
		{name: "unknown variable", environ: []string{"TIDINGS_HTPP=x"}, want: "unknown variable TIDINGS_HTPP"},
		{name: "no file", args: []string{"--config", "/nowhere/tidings.yaml"}, want: "no such file"},
		{name: "no way to verify", want: "no way to verify tokens"},
		{name: "bad duration", args: []string{"--dev", "--max-age", "soon"}, want: "--max-age"},
		{name: "bad duration in the file", file: "dev: true\nmax-age: soon\n", want: "--max-age"},
		{name: "zero duration", args: []string{"--dev", "--drain-timeout", "0s"}, want: "drain-timeout: want more than 0"},
		{name: "client timeout", args: []string{"--dev", "--client-timeout", "20s"}, want: "client-timeout: want at least twice"},
		{name: "bad size", args: []string{"--dev", "--max-bytes", "10GB"}, want: "64KiB"},
		{name: "bad sync", args: []string{"--dev", "--sync", "never"}, want: "--sync"},
		{name: "two servers", args: []string{secret, "--nats", "nats://x", "--nats-listen", "127.0.0.1:1"}, want: "nats-listen"},
		{name: "open port without a token", args: []string{secret, "--nats-listen", "0.0.0.0:4222"}, want: "nats-listen-token is needed"},
		{name: "replicas of one server", args: []string{secret, "--replicas", "3"}, want: "replicas"},
		{name: "two secrets", args: []string{secret, "--auth-secret-file", "x"}, want: "exclude each other"},
		{name: "one issuer and several", file: "auth-secret-file: x\nauth-issuers: [{name: a, jwks: https://a}]\n", want: "auth-issuers excludes"},
		{name: "unknown key of an issuer", file: "auth-issuers: [{name: a, jwk: https://a}]\n", want: "jwk"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := config(t, test.file, test.environ, test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got error %v, want one line with %q; printed:\n%s", err, test.want, out)
			}
		})
	}
}

func TestSeveralIssuersFromTheFile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var issuers issuerList
	issuers = append(issuers, issuerSetting{Name: "a", SecretFile: secret, Audience: "tidings"}, issuerSetting{Name: "b", JWKS: "https://b"})
	got, err := settings{AuthIssuers: issuers}.issuers()
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || string(got[0].Secret) != "0123456789abcdef0123456789abcdef" || got[0].Audience != "tidings" || got[1].JWKS != "https://b" {
		t.Errorf("got %+v", got)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]size{"0": 0, "1000": 1000, "64KiB": 64 << 10, "3MiB": 3 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want || s.String() != text {
			t.Errorf("%s: got %d, %v, written as %s", text, s, err, s)
		}
	}
	for _, text := range []string{"", "x", "-1", "1KB", "1.5MiB", "99999999999TiB"} {
		var s size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read as %d", text, s)
		}
	}
}

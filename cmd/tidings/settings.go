package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"tidings/connections"
	"tidings/notifications"
	"tidings/persistence"
	"tidings/roles"
)

// settings are what a node runs with. Each is a flag, an environment variable
// (TIDINGS_ and the name in capitals) and a key of the configuration file, in
// this order of strength. A field with the tag secret is never shown.
type settings struct {
	File string `name:"config" placeholder:"FILE" help:"Configuration file (YAML)."`

	HTTP string `name:"http" default:"127.0.0.1:8080" placeholder:"ADDR" help:"Where browsers and emitters connect. Default ${default}." group:"Listeners"`
	Ops  string `name:"ops" default:"127.0.0.1:9090" placeholder:"ADDR" help:"Where operators connect: /livez, /readyz, /startupz, /console/, /metrics, /debug/pprof. Off this machine all but the probes asks for the token of somebody who may manage. Default ${default}." group:"Listeners"`
	Dev  bool   `name:"dev" help:"Development: makes a signing secret, serves the demo page, lets pages of localhost in, prints tokens. Never for production." group:"Listeners"`

	Data string `name:"data" default:"data" placeholder:"DIR" help:"Where the embedded NATS server keeps the log. Default ${default}." group:"Log"`
	Sync string `name:"sync" enum:",always,interval" default:"" help:"When the embedded log is flushed to the disk: always (before it acknowledges; survives a power failure; some 5 times slower) or interval (every 2 s; survives the death of the process). Default always, in development interval." group:"Log"`

	NATS            string `name:"nats" placeholder:"URL" help:"An outside NATS server, at least 2.14.3, instead of the embedded one." group:"Log"`
	NATSCreds       string `name:"nats-creds" placeholder:"FILE" help:"Credentials for it." group:"Log"`
	NATSToken       string `name:"nats-token" secret:"" help:"Token for it." group:"Log"`
	NATSUser        string `name:"nats-user" help:"User for it." group:"Log"`
	NATSPassword    string `name:"nats-password" secret:"" help:"Password for it." group:"Log"`
	NATSInboxPrefix string `name:"nats-inbox-prefix" placeholder:"PREFIX" help:"Where it sends answers to, for a user who may subscribe to nothing else. Default _INBOX." group:"Log"`
	NATSCA          string `name:"nats-ca" placeholder:"FILE" help:"Certificates that its certificate must stem from (PEM)." group:"Log"`
	NATSCert        string `name:"nats-cert" placeholder:"FILE" help:"Certificate to show it (PEM)." group:"Log"`
	NATSKey         string `name:"nats-key" placeholder:"FILE" help:"Key of that certificate (PEM)." group:"Log"`

	NATSListen      string `name:"nats-listen" placeholder:"ADDR" help:"Where emitters connect to the embedded server. Default off, in development 127.0.0.1:4222." group:"Log"`
	NATSListenToken string `name:"nats-listen-token" secret:"" help:"What they must present; needed on any address that is not loopback." group:"Log"`

	Stream     string        `name:"stream" default:"TIDINGS" help:"Name of the JetStream stream." group:"Log"`
	MaxAge     time.Duration `name:"max-age" default:"720h" help:"How long events are kept." group:"Log"`
	MaxBytes   size          `name:"max-bytes" default:"0" help:"Bound of the log on disk, such as 10GiB; the oldest events go first. 0 = none." group:"Log"`
	Replicas   int           `name:"replicas" default:"1" help:"How many servers of a NATS cluster keep the log." group:"Log"`
	TailBytes  size          `name:"tail-bytes" default:"64MiB" help:"Memory for recent events." group:"Log"`
	EventBytes size          `name:"event-bytes" default:"64KiB" help:"Bound of one event." group:"Log"`

	EmitRate  float64 `name:"emit-rate" default:"0" help:"Events a second that one emitter may emit over HTTP and hubs. 0 = any number." group:"Emitters"`
	EmitBurst int     `name:"emit-burst" default:"1000" help:"Events that it may emit at once." group:"Emitters"`
	EmitQuota int     `name:"emit-quota" default:"0" help:"Events that it may emit on a day (UTC). 0 = any number." group:"Emitters"`

	AuthSecret     string        `name:"auth-secret" secret:"" help:"Secret shared with the issuer of tokens (HS256, HS384, HS512), at least 32 bytes." group:"Identity"`
	AuthSecretFile string        `name:"auth-secret-file" placeholder:"FILE" help:"A file that holds it." group:"Identity"`
	AuthKeyFile    string        `name:"auth-key-file" placeholder:"FILE" help:"Public key or certificate of the issuer (PEM: RSA, ECDSA, Ed25519)." group:"Identity"`
	AuthJWKS       string        `name:"auth-jwks" placeholder:"URL" help:"Key set of the issuer." group:"Identity"`
	AuthIssuer     string        `name:"auth-issuer" help:"What iss must be." group:"Identity"`
	AuthAudience   string        `name:"auth-audience" help:"What aud must hold." group:"Identity"`
	AuthUserClaim  string        `name:"auth-user-claim" default:"sub" help:"Claim of the user id: sub, email, or a path such as ext.user.id." group:"Identity"`
	AuthRoleClaims []string      `name:"auth-role-claim" sep:"none" placeholder:"CLAIM" help:"Claims of the roles; may be repeated. Default role, roles, realm_access.roles and the claim of .NET." group:"Identity"`
	AuthLeeway     time.Duration `name:"auth-leeway" default:"0s" help:"Clock skew that is forgiven." group:"Identity"`
	AuthIssuers    issuerList    `name:"auth-issuers" placeholder:"YAML" help:"Several issuers, in the configuration file: a list of name, audience and one of secret-file, key-file, jwks." group:"Identity"`
	Policy         string        `name:"policy" placeholder:"FILE" help:"Which roles may invoke and emit what (YAML)." group:"Identity"`
	Origins        []string      `name:"origin" sep:"none" placeholder:"ORIGIN" help:"An origin, such as https://app.example, whose pages may connect; may be repeated. The host's own pages always may." group:"Identity"`

	KeepAlive         time.Duration `name:"keep-alive" default:"15s" help:"Silence after which the server pings." group:"Connections"`
	ClientTimeout     time.Duration `name:"client-timeout" default:"30s" help:"Longest silence of a client; at least twice the keep-alive." group:"Connections"`
	HandshakeTimeout  time.Duration `name:"handshake-timeout" default:"15s" help:"How long a client may take to say which protocol it speaks." group:"Connections"`
	SendTimeout       time.Duration `name:"send-timeout" default:"10s" help:"How long a socket may take no byte before it is cut." group:"Connections"`
	Transports        []string      `name:"transport" sep:"none" placeholder:"NAME" help:"A transport that clients may use: WebSockets, ServerSentEvents or LongPolling; may be repeated. Default all." group:"Connections"`
	PollTimeout       time.Duration `name:"poll-timeout" default:"90s" help:"How long a poll waits for something to say; clients give up at 100s." group:"Connections"`
	DisconnectTimeout time.Duration `name:"disconnect-timeout" default:"15s" help:"How long a client without a socket or a poll is waited for." group:"Connections"`
	StatefulReconnect bool          `name:"stateful-reconnect" default:"true" negatable:"" help:"Let clients that ask for it come back with another socket and lose nothing." group:"Connections"`
	ReconnectBuffer   size          `name:"reconnect-buffer" default:"100000" help:"Bytes such a client is sent without an acknowledgement before messages wait." group:"Connections"`
	MaxMessage        size          `name:"max-message" default:"32KiB" help:"Longest message a client may send." group:"Connections"`
	MetricInterval    time.Duration `name:"metric-interval" default:"100ms" help:"Least time between two values of one metric of the analytics hub." group:"Connections"`
	DrainTimeout      time.Duration `name:"drain-timeout" default:"30s" help:"How long a node that is told to stop may take." group:"Connections"`

	SpanBytes     size   `name:"span-bytes" default:"16MiB" help:"Memory for the newest spans, which operators see without a collector; of a node that makes more than 1,000 a second some traces are kept. 0 = none." group:"Telemetry"`
	TraceLink     string `name:"trace-link" placeholder:"URL" help:"Where another tool shows a trace, with {trace_id}, such as http://localhost:16686/trace/{trace_id}: the console links to it." group:"Telemetry"`
	ClientContext string `name:"client-context" enum:"link,parent,ignore" default:"link" help:"What the traceparent that a client sends with a call is to the span of the call: link, parent (for callers who may manage or emit to others; the rest is linked) or ignore. Whether the client says it is sampled is never looked at." group:"Telemetry"`
	LogLevel      string `name:"log-level" enum:"debug,info,warn,error" default:"info" help:"The least that is logged: debug, info, warn or error." group:"Telemetry"`
	LogFormat     string `name:"log-format" enum:",json,text" default:"" help:"json or text. Default json, in development text." group:"Telemetry"`
}

// off turns a listener off that has a default in development.
const off = "off"

// withDefaults sets what depends on something else.
func (s settings) withDefaults() settings {
	if s.Sync == "" {
		s.Sync = string(persistence.SyncAlways)
		if s.Dev {
			s.Sync = string(persistence.SyncInterval)
		}
	}
	if s.LogFormat == "" {
		s.LogFormat = "json"
		if s.Dev {
			s.LogFormat = "text"
		}
	}
	if s.NATSListen == "" && s.Dev && s.NATS == "" {
		s.NATSListen = "127.0.0.1:4222"
	}
	if s.NATSListen == "" {
		s.NATSListen = off
	}
	if len(s.AuthRoleClaims) == 0 {
		s.AuthRoleClaims = roles.DefaultRoleClaims()
	}
	return s
}

// validate says which setting is of no use, by its name.
func (s settings) validate() error {
	for name, duration := range map[string]time.Duration{
		"max-age": s.MaxAge, "keep-alive": s.KeepAlive, "client-timeout": s.ClientTimeout, "handshake-timeout": s.HandshakeTimeout,
		"send-timeout": s.SendTimeout, "poll-timeout": s.PollTimeout, "disconnect-timeout": s.DisconnectTimeout, "metric-interval": s.MetricInterval, "drain-timeout": s.DrainTimeout,
	} {
		if duration <= 0 {
			return fmt.Errorf("%s: want more than 0, got %v", name, duration)
		}
	}
	if err := cmp.Or(s.validateTransports(), s.validateEmitters()); err != nil {
		return err
	}
	switch {
	case s.ClientTimeout < 2*s.KeepAlive:
		return fmt.Errorf("client-timeout: want at least twice the keep-alive of %v, got %v", s.KeepAlive, s.ClientTimeout)
	case s.ReconnectBuffer < 1024:
		return fmt.Errorf("reconnect-buffer: want at least 1KiB, got %d", s.ReconnectBuffer)
	case s.MaxMessage < 1024:
		return fmt.Errorf("max-message: want at least 1KiB, got %d", s.MaxMessage)
	case s.EventBytes < 1024 || s.EventBytes > persistence.MaxEventBytes:
		return fmt.Errorf("event-bytes: want 1KiB to %v, got %v", size(persistence.MaxEventBytes), s.EventBytes)
	case s.Replicas < 1 || s.Replicas > 5:
		return fmt.Errorf("replicas: want 1 to 5, got %d", s.Replicas)
	case s.NATS == "" && s.Replicas > 1:
		return errors.New("replicas: the embedded server is one, so only an outside NATS cluster can keep more")
	case s.NATS != "" && s.NATSListen != off:
		return errors.New("nats-listen: the embedded server does not run when nats names an outside one")
	case s.NATSListen != off && s.NATSListenToken == "" && !loopback(s.NATSListen):
		return fmt.Errorf("nats-listen: %s can be reached from outside, so nats-listen-token is needed", s.NATSListen)
	case s.AuthSecret != "" && s.AuthSecretFile != "":
		return errors.New("auth-secret and auth-secret-file exclude each other")
	case len(s.AuthIssuers) > 0 && s.hasIssuer():
		return errors.New("auth-issuers excludes the settings of a single issuer")
	case !s.Dev && len(s.AuthIssuers) == 0 && !s.hasIssuer():
		return errors.New("no way to verify tokens: set auth-secret-file, auth-key-file or auth-jwks (or dev, to try it out)")
	}
	return nil
}

func (s settings) validateTransports() error {
	for _, name := range s.Transports {
		if !slices.Contains(connections.Transports(), name) {
			return fmt.Errorf("transport: want one of %s, got %q", strings.Join(connections.Transports(), ", "), name)
		}
	}
	return nil
}

func (s settings) validateEmitters() error {
	switch {
	case s.EmitRate < 0:
		return fmt.Errorf("emit-rate: want 0 or more, got %g", s.EmitRate)
	case s.EmitQuota < 0:
		return fmt.Errorf("emit-quota: want 0 or more, got %d", s.EmitQuota)
	case s.EmitBurst < 1:
		return fmt.Errorf("emit-burst: want at least 1, got %d", s.EmitBurst)
	}
	return nil
}

func (s settings) hasIssuer() bool {
	return s.AuthSecret != "" || s.AuthSecretFile != "" || s.AuthKeyFile != "" || s.AuthJWKS != ""
}

// loopback tells whether an address can be reached from this machine only.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// issuers are whose tokens are accepted; none in development without settings.
func (s settings) issuers() ([]roles.Issuer, error) {
	if len(s.AuthIssuers) > 0 {
		return s.AuthIssuers.read()
	}
	if !s.hasIssuer() {
		return nil, nil
	}
	one := roles.Issuer{
		Name: s.AuthIssuer, Audience: s.AuthAudience,
		Secret: []byte(s.AuthSecret), KeyFile: s.AuthKeyFile, JWKS: s.AuthJWKS,
	}
	if s.AuthSecretFile != "" {
		secret, err := readSecret(s.AuthSecretFile)
		if err != nil {
			return nil, err
		}
		one.Secret = secret
	}
	return []roles.Issuer{one}, nil
}

// readSecret reads a secret and takes away the line feed that editors add.
func readSecret(file string) ([]byte, error) {
	secret, err := os.ReadFile(file) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return []byte(strings.TrimRight(string(secret), "\r\n")), nil
}

func (s settings) policy() (*roles.Policy, error) {
	if s.Policy == "" {
		return roles.DefaultPolicy(), nil
	}
	text, err := os.ReadFile(s.Policy)
	if err != nil {
		return nil, err
	}
	return roles.ParsePolicy(text)
}

// connect says how an outside NATS is reached.
func (s settings) connect() persistence.ConnectOptions {
	return persistence.ConnectOptions{
		URL: s.NATS, Credentials: s.NATSCreds, Token: s.NATSToken, User: s.NATSUser, Password: s.NATSPassword, InboxPrefix: s.NATSInboxPrefix,
		CA: s.NATSCA, Cert: s.NATSCert, Key: s.NATSKey,
	}
}

func (s settings) log() persistence.Options {
	return persistence.Options{
		Stream: s.Stream, MaxAge: s.MaxAge, MaxBytes: int64(s.MaxBytes), Replicas: s.Replicas,
		TailBytes: int(s.TailBytes), EventBytes: int(s.EventBytes),
	}
}

func (s settings) limits() notifications.Limits {
	return notifications.Limits{EventBytes: int(s.EventBytes)}
}

// rates bound what one emitter may emit through this node.
func (s settings) rates() *notifications.Rates {
	return &notifications.Rates{PerSecond: s.EmitRate, Burst: s.EmitBurst, Quota: s.EmitQuota}
}

// size is a number of bytes, written as 65536, 64KiB, 10MiB or 2GiB.
type size int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *size) UnmarshalText(text []byte) error {
	number, factor := string(text), int64(1)
	for i, unit := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if rest, ok := strings.CutSuffix(number, unit); ok {
			number, factor = rest, int64(1)<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return fmt.Errorf("want a number of bytes such as 65536, 64KiB or 2GiB, got %q", text)
	}
	*s = size(n * factor)
	return nil
}

// String is the shortest exact form.
func (s size) String() string {
	n, unit := int64(s), ""
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, next
	}
	return strconv.FormatInt(n, 10) + unit
}

package persistence

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// minServer is the oldest nats-server that does all that is needed.
const minServer = "2.14.3"

// ConnectOptions says which server to use: the embedded one, or the one at URL.
type ConnectOptions struct {
	Server *Server
	URL    string
	// Credentials is a .creds file; Token, User and Password are the plainer
	// ways. All may be empty.
	Credentials           string
	Token, User, Password string
	// InboxPrefix is where answers are sent to, for a user who may subscribe to
	// nothing else. Default "_INBOX".
	InboxPrefix string
	// CA, Cert and Key are PEM files for TLS; all may be empty.
	CA, Cert, Key string
	Logger        *slog.Logger
}

// NATS is a connection to a server. It reconnects for ever.
type NATS struct {
	conn *nats.Conn
	js   jetstream.JetStream
}

// Connect connects, and refuses a server that is too old.
func Connect(o ConnectOptions) (*NATS, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	conn, err := nats.Connect(o.URL, o.options()...)
	if parse, is := errors.AsType[*url.Error](err); is {
		err = parse.Err // without the text that could not be parsed, which may hold a password
	}
	if err != nil {
		return nil, fmt.Errorf("NATS at %s: %w", withoutSecrets(o.URL), err)
	}
	if version := conn.ConnectedServerVersion(); older(version, minServer) {
		conn.Close()
		return nil, fmt.Errorf("NATS at %s is version %s, at least %s is needed", withoutSecrets(o.URL), version, minServer)
	}
	// Else the library waits for ever for what is not answered, until too much is.
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(attemptTime))
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return &NATS{conn: conn, js: js}, nil
}

func (o ConnectOptions) options() []nats.Option {
	options := []nats.Option{
		nats.Name("tidings"),
		nats.MaxReconnects(-1),
		// While there is no connection nothing is kept to be published later:
		// its caller is told now, and is not to be proved wrong.
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // else we have closed it
				o.Logger.Warn("connection to NATS lost", slog.Any("error", err))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { o.Logger.Info("connection to NATS is back") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.Logger.Warn("nats", slog.Any("error", err))
		}),
	}
	if o.Server != nil {
		options = append(options, nats.InProcessServer(o.Server))
	}
	if o.Credentials != "" {
		options = append(options, nats.UserCredentials(o.Credentials))
	}
	if o.Token != "" {
		options = append(options, nats.Token(o.Token))
	}
	if o.User != "" {
		options = append(options, nats.UserInfo(o.User, o.Password))
	}
	if o.InboxPrefix != "" {
		options = append(options, nats.CustomInboxPrefix(o.InboxPrefix))
	}
	if o.CA != "" {
		options = append(options, nats.RootCAs(o.CA))
	}
	if o.Cert != "" {
		options = append(options, nats.ClientCert(o.Cert, o.Key))
	}
	return options
}

// withoutSecrets is a URL, or a list of them, as an error may show it.
func withoutSecrets(list string) string {
	if list == "" {
		return "this process"
	}
	urls := strings.Split(list, ",")
	for i, one := range urls {
		scheme, rest, found := strings.Cut(strings.TrimSpace(one), "://")
		if !found {
			scheme, rest = "nats", scheme
		}
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			rest = rest[at+1:]
		}
		urls[i] = scheme + "://" + rest
	}
	return strings.Join(urls, ",")
}

// older compares versions such as 2.14.3; what follows a "-" is not looked at.
func older(version, than string) bool {
	a, b := numbers(version), numbers(than)
	for i := range b {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

func numbers(version string) (n [3]int) {
	version, _, _ = strings.Cut(version, "-")
	for i, part := range strings.SplitN(version, ".", len(n)) {
		n[i], _ = strconv.Atoi(part) // what is no number is old
	}
	return n
}

// Connected tells whether the server can be reached at the moment.
func (n *NATS) Connected() bool { return n.conn.IsConnected() }

// URL is the server in use, without secrets.
func (n *NATS) URL() string { return withoutSecrets(n.conn.ConnectedUrlRedacted()) }

// drainTimeout bounds the flush of what was published last.
const drainTimeout = 5 * time.Second

// Close flushes what is on its way and ends the connection.
func (n *NATS) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	defer n.conn.Close()
	if err := n.conn.FlushWithContext(ctx); err != nil && !errors.Is(err, nats.ErrConnectionClosed) && n.conn.IsConnected() {
		return fmt.Errorf("flush NATS: %w", err)
	}
	return nil
}

package persistence

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Sync says when the embedded server makes sure that what it has acknowledged
// survives a power failure. The death of the process loses nothing either way.
type Sync string

// The ways to sync.
const (
	// SyncAlways flushes every append to the disk before it is acknowledged.
	SyncAlways Sync = "always"
	// SyncInterval flushes every two seconds: what was acknowledged since is
	// lost with the power.
	SyncInterval Sync = "interval"
)

const syncInterval = 2 * time.Second

// MaxEventBytes is the largest bound of an event that the embedded server can
// keep, whatever its JSON escapes.
const MaxEventBytes = maxPayload/escaped - 1024

// maxPayload bounds a message; the server itself warns of more.
const maxPayload = 8 << 20

// ServerOptions tunes the embedded server.
type ServerOptions struct {
	// Dir is where the log is kept. It is made if it does not exist.
	Dir string
	// Listen is host:port for emitters and tools; empty = no port at all.
	Listen string
	// Token is what whoever connects must present; empty = nothing. It is a
	// secret.
	Token string
	// Sync is SyncAlways by default.
	Sync   Sync
	Logger *slog.Logger
}

// Server is a NATS server inside this process.
type Server struct {
	nats *server.Server
	lock *os.File
}

// startTimeout bounds the start of the server, which reads its store.
const startTimeout = 60 * time.Second

// StartServer starts a server on a directory that no other process uses.
func StartServer(o ServerOptions) (*Server, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{lock: lock}
	if err := s.start(o); err != nil {
		_ = lock.Close() // the start has failed in any case
		return nil, err
	}
	return s, nil
}

func (s *Server) start(o ServerOptions) error {
	settings := &server.Options{
		ServerName: "tidings", JetStream: true, StoreDir: o.Dir,
		DontListen: o.Listen == "", NoSigs: true, DisableJetStreamBanner: true,
		SyncAlways: o.Sync != SyncInterval, SyncInterval: syncInterval,
		Authorization: o.Token, MaxPayload: maxPayload,
	}
	if o.Listen != "" {
		host, port, err := splitListen(o.Listen)
		if err != nil {
			return err
		}
		settings.Host, settings.Port = host, port
	}
	nats, err := server.NewServer(settings)
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	bridge := &logBridge{logger: o.Logger}
	nats.SetLoggerV2(bridge, false, false, false)
	s.nats = nats
	nats.Start()
	if !nats.ReadyForConnections(startTimeout) || bridge.fatal.Load() != nil {
		s.nats.Shutdown()
		s.nats.WaitForShutdown()
		if reason := bridge.fatal.Load(); reason != nil {
			return fmt.Errorf("embedded NATS: %s", *reason)
		}
		return fmt.Errorf("embedded NATS: not ready after %v", startTimeout)
	}
	return nil
}

// splitListen also finds out whether the port can be had, because the server
// itself says so in its log only.
func splitListen(listen string) (host string, port int, err error) {
	probe, err := net.Listen("tcp", listen) //nolint:noctx // closed at once
	if err != nil {
		return "", 0, fmt.Errorf("embedded NATS: %w", err)
	}
	defer func() { err = errors.Join(err, probe.Close()) }()
	host, text, err := net.SplitHostPort(probe.Addr().String())
	if err != nil {
		return "", 0, fmt.Errorf("embedded NATS: %w", err)
	}
	port, err = strconv.Atoi(text)
	return host, port, err
}

// Addr is where emitters and tools connect, or empty.
func (s *Server) Addr() string {
	if addr := s.nats.Addr(); addr != nil {
		return addr.String()
	}
	return ""
}

// InProcessConn is a connection without a port.
func (s *Server) InProcessConn() (net.Conn, error) { return s.nats.InProcessConn() }

// Shutdown stops the server and waits for its store to be closed.
func (s *Server) Shutdown() error {
	s.nats.Shutdown()
	s.nats.WaitForShutdown()
	return s.lock.Close()
}

// Health says what is wrong with the store of the server, or nil. A disk that
// fails or is full stops a stream until the server is started again.
func (s *Server) Health() error {
	if health := s.nats.Healthz(nil); health.Error != "" {
		return errors.New(health.Error)
	}
	return nil
}

// InUse tells whether a server runs on a directory; false if there is none.
func InUse(dir string) (bool, error) {
	file, err := os.Open(filepath.Join(dir, "LOCK")) //nolint:gosec // the operator names the directory
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	}
	taken := flock(file) != nil
	return taken, file.Close()
}

// lockDir makes the directory, sees that it can be written to, and takes it
// for this process until the file is closed.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the operator names the directory
	if err != nil {
		return nil, fmt.Errorf("data directory is not writable: %w", err)
	}
	if err := flock(file); err != nil {
		_ = file.Close() // nothing was written
		return nil, fmt.Errorf("data directory %s is in use by another process: %w", dir, err)
	}
	return file, nil
}

// logBridge writes the server's log lines to ours. Its traces are off, so no
// line holds a payload or a secret.
type logBridge struct {
	logger *slog.Logger
	fatal  atomic.Pointer[string]
}

func (b *logBridge) log(level func(string, ...any), format string, v []any) {
	level("nats server", slog.String("message", fmt.Sprintf(format, v...)))
}

func (b *logBridge) Noticef(format string, v ...any) { b.log(b.logger.Debug, format, v) }
func (b *logBridge) Debugf(format string, v ...any)  { b.log(b.logger.Debug, format, v) }
func (b *logBridge) Tracef(string, ...any)           {}
func (b *logBridge) Warnf(format string, v ...any)   { b.log(b.logger.Warn, format, v) }
func (b *logBridge) Errorf(format string, v ...any)  { b.log(b.logger.Error, format, v) }

// Fatalf must not end the process: StartServer turns it into an error.
func (b *logBridge) Fatalf(format string, v ...any) {
	reason := fmt.Sprintf(format, v...)
	b.fatal.CompareAndSwap(nil, &reason)
	b.log(b.logger.Error, format, v)
}

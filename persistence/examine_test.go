package persistence_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tidings/notifications"
	"tidings/persistence"
	"tidings/persistence/persistencetest"
)

func TestExamineSeesTheStreams(t *testing.T) {
	l := persistencetest.Reopen(t, t.TempDir(), persistence.Options{}, nil)
	appendTo(t, l, event(notifications.ToUser("ann"), "hello"))
	x, err := persistence.Examine(t.Context(), l.NATS, persistence.Options{MaxAge: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if x.Version == "" || x.Skew.Abs() > time.Second+x.Doubt {
		t.Errorf("got %+v", x)
	}
	log := x.Streams[0]
	if log.Name != "TIDINGS" || log.Missing || log.Messages != 1 || log.Bytes == 0 || log.Newest.IsZero() {
		t.Errorf("the log: got %+v", log)
	}
	if got := strings.Join(log.Differences, "; "); got != "max_age is 720h0m0s, want 1h0m0s" {
		t.Errorf("differences: got %q", got)
	}
	for _, s := range x.Streams[2:] {
		if !s.Missing {
			t.Errorf("nobody has made %s", s.Name)
		}
	}
	again, err := persistence.Examine(t.Context(), l.NATS, persistence.Options{})
	if err != nil || again.Streams[0].Messages != 1 {
		t.Errorf("examining has left something in the log: %+v, %v", again.Streams[0], err)
	}
}

func TestExamineSaysWhatIsNotPermitted(t *testing.T) {
	t.Parallel()
	allowed := []string{"$JS.API.>", "tidings.live.>", "tidings.log.>"}
	for _, test := range []struct {
		name      string
		publish   []string
		subscribe []string
		want      string
	}{
		{"all", allowed, []string{"_INBOX.>", "tidings.live.>"}, ""},
		{"no streams", allowed[1:], []string{"_INBOX.>", "tidings.live.>"}, `permissions violation: Permissions Violation for Publish to "$JS.API.STREAM.INFO.TIDINGS"`},
		{"no live messages out", []string{allowed[0], allowed[2]}, []string{"_INBOX.>", "tidings.live.>"}, `Publish to "tidings.live.notifications.connection.doctor"`},
		{"no live messages in", allowed, []string{"_INBOX.>"}, `Subscription to "tidings.live.>"`},
		{"no events", allowed[:2], []string{"_INBOX.>", "tidings.live.>"}, `Publish to "tidings.log.notifications.user.doctor"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := outside(t, &server.Options{
				Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(),
				Users: []*server.User{
					{Username: "all", Password: "p"},
					{Username: "some", Password: "p", Permissions: &server.Permissions{
						Publish: &server.SubjectPermission{Allow: test.publish}, Subscribe: &server.SubjectPermission{Allow: test.subscribe},
					}},
				},
			})
			connect := func(user string) *persistence.NATS {
				conn, err := persistence.Connect(persistence.ConnectOptions{URL: url, User: user, Password: "p"})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close(t.Context()) }) // nothing was sent
				return conn
			}
			if _, err := persistence.Open(t.Context(), connect("all"), persistence.Options{}); err != nil {
				t.Fatal(err)
			}
			_, err := persistence.Examine(t.Context(), connect("some"), persistence.Options{})
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(test.want))):
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

func TestInUse(t *testing.T) {
	dir := t.TempDir()
	if used, err := persistence.InUse(dir); err != nil || used {
		t.Errorf("nobody has used it: got %v, %v", used, err)
	}
	t.Run("running", func(t *testing.T) {
		l := persistencetest.Reopen(t, dir, persistence.Options{}, nil)
		if used, err := persistence.InUse(dir); err != nil || !used {
			t.Errorf("a server runs: got %v, %v", used, err)
		}
		if err := l.Server.Health(); err != nil {
			t.Errorf("the server is well: got %v", err)
		}
	})
	if used, err := persistence.InUse(dir); err != nil || used {
		t.Errorf("the server has ended: got %v, %v", used, err)
	}
}

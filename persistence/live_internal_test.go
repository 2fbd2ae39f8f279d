package persistence

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
)

// Whatever is published to a live subject is read or refused, and what is read
// can be told to a browser.
func FuzzReadLive(f *testing.F) {
	for _, seed := range []struct{ subject, payload string }{
		{"tidings.live.analytics.group.main", `{"target":"ReceiveMetric","arguments":[{"name":"cpu","value":1}]}`},
		{"tidings.live.h.everyone", `[1,2]`},
		{"tidings.live.h.user.a=40b", `{"target":"","arguments":null}`},
		{"tidings.live.h.user", `{`},
		{"tidings.live.h.everyone", "\"\xff\""},
	} {
		f.Add(seed.subject, []byte(seed.payload))
	}
	f.Fuzz(func(t *testing.T, subject string, payload []byte) {
		live, err := readLive(&nats.Msg{Subject: subject, Data: payload})
		if err != nil {
			return
		}
		if live.Target == "" || live.Hub == "" || live.To.Validate() != nil {
			t.Errorf("%q %q: read as %+v", subject, payload, live)
		}
		if told, err := json.Marshal(live.Arguments); err != nil || !utf8.Valid(told) {
			t.Errorf("%q %q: arguments cannot be told: %q, %v", subject, payload, told, err)
		}
	})
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tidings/notifications"
	"tidings/persistence"
)

// asking are the settings of a command that asks a server.
type asking struct {
	URL     string        `name:"url" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The server to ask. Default ${default}."`
	Token   string        `env:"TIDINGS_TOKEN" help:"Token of who may ask; from the environment it is not seen by others."`
	Hub     string        `default:"notifications" help:"The hub."`
	Timeout time.Duration `default:"30s" help:"How long it may take."`
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// get asks a path and reads the answer.
func (a asking) get(ctx context.Context, path string, query url.Values, into any) error {
	ctx, cancel := context.WithTimeout(ctx, a.Timeout)
	defer cancel()
	query.Set("hub", a.Hub)
	address := strings.TrimRight(a.URL, "/") + path + "?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	return answerTo(request, a.Token, into)
}

// answerTo sends a request in the name of a token's owner and reads the answer.
func answerTo(request *http.Request, token string, into any) error {
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // it has been read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusAccepted {
		return refused(response.Status, answer)
	}
	return json.Unmarshal(answer, into)
}

// refused says why a server has refused an event, in its own words if it has
// any.
func refused(status string, answer []byte) error {
	var problem struct{ Detail string }
	if err := json.Unmarshal(answer, &problem); err != nil || problem.Detail == "" {
		return fmt.Errorf("server answered %s", status)
	}
	return fmt.Errorf("server answered %s: %s", status, problem.Detail)
}

// natsServer are the settings of a command that talks to NATS itself.
type natsServer struct {
	NATS            string `name:"nats" xor:"way" placeholder:"URL" help:"The NATS server of the log."`
	NATSCreds       string `name:"nats-creds" placeholder:"FILE" help:"Credentials for it."`
	NATSToken       string `name:"nats-token" env:"TIDINGS_NATS_TOKEN" help:"Token for it."`
	NATSUser        string `name:"nats-user" help:"User for it."`
	NATSPassword    string `name:"nats-password" env:"TIDINGS_NATS_PASSWORD" help:"Password for it."`
	NATSInboxPrefix string `name:"nats-inbox-prefix" placeholder:"PREFIX" help:"Where it sends answers to. Default _INBOX."`
	NATSCA          string `name:"nats-ca" placeholder:"FILE" help:"Certificates that its certificate must stem from (PEM)."`
}

func (s natsServer) connect() (*persistence.NATS, error) {
	return persistence.Connect(persistence.ConnectOptions{
		URL: s.NATS, Credentials: s.NATSCreds, Token: s.NATSToken, User: s.NATSUser, Password: s.NATSPassword,
		CA: s.NATSCA, InboxPrefix: s.NATSInboxPrefix,
	})
}

type explainCommand struct {
	asking

	User string `required:"" help:"The user who has, or has not, got the event."`
	ID   string `name:"id" required:"" help:"The id of the event."`
	JSON bool   `name:"json" help:"Print the answer as JSON."`
}

func (c explainCommand) Run(ctx context.Context, env environment) error {
	var x notifications.Explanation
	if err := c.get(ctx, "/v1/explain", url.Values{"user": {c.User}, "id": {c.ID}}, &x); err != nil {
		return err
	}
	if c.JSON {
		return indented(env.Stdout, x)
	}
	_, err := io.WriteString(env.Stdout, story(&x))
	return err
}

// indented writes JSON for people and for jq.
func indented(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// story is an explanation as text.
func story(x *notifications.Explanation) string {
	var b strings.Builder
	line := func(format string, values ...any) { fmt.Fprintf(&b, format+"\n", values...) }
	line("%s for user %s in hub %s: %s", x.ID, x.User, x.Hub, x.Outcome)
	if x.Reason != "" {
		line("  because %s", x.Reason)
	}
	if !x.ScheduledFor.IsZero() {
		line("  due at %s", stamp(x.ScheduledFor))
	}
	for _, r := range x.Rejections {
		line("  rejected at %s, position %d: %s", stamp(r.At), r.Position, r.Reason)
	}
	for _, r := range x.Audit {
		line("  %s at %s by %s over %s %s", r.Action, stamp(r.At), r.By, r.Via, strings.TrimSpace(r.Reason+" "+r.Note))
	}
	for i := range x.Events {
		tell(line, &x.Events[i])
	}
	return b.String()
}

// tell writes what became of one stored event.
func tell(line func(string, ...any), o *notifications.StoredOutcome) {
	line("stored at %s, position %d, for %s (%s, %s)", stamp(o.Stored), o.Position, o.Recipient, o.Type, o.Severity)
	if !o.Addressed {
		line("  not for this user: %s", o.Why)
		return
	}
	line("  the user was a recipient as %s; it is %s", o.By, o.Status)
	for _, f := range []struct {
		is   bool
		what string
	}{
		{o.Muted != "", "muted by " + o.Muted},
		{o.CollapsedInto != 0, fmt.Sprintf("replaced by position %d", o.CollapsedInto)},
		{o.RecalledBy != 0, fmt.Sprintf("recalled by position %d", o.RecalledBy)},
		{o.Expired, "expired at " + stamp(o.ExpiresAt)},
	} {
		if f.is {
			line("  %s", f.what)
		}
	}
	for _, v := range o.Visits {
		line("  connection %s%s, %s to %s: %s%s", v.Connection, named(" of device ", v.Device), stamp(v.Began), stamp(v.Ended), v.Outcome, when(v.Acknowledged, ", acknowledged"))
	}
	for _, d := range o.Devices {
		line("  device %s: %s%s", d.Device, when(d.Sent, "sent"), when(d.Acknowledged, ", acknowledged by "+stamp(d.AcknowledgedBy)))
	}
	for _, a := range o.Acts {
		line("  %s at %s%s%s", a.Status, stamp(a.At), named(" on device ", a.Device), named(" by ", a.By))
	}
	for _, p := range o.Pending {
		line("  pending: %s", p)
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "…"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

func named(before, name string) string {
	if name == "" {
		return ""
	}
	return before + name
}

func when(is bool, text string) string { //nolint:revive // it reads as a sentence
	if is {
		return text
	}
	return ""
}

// replayInbox prints the inbox of a user as it was.
func (c replayCommand) inbox(ctx context.Context, env environment) error {
	at, err := moment(c.At)
	if err != nil {
		return fmt.Errorf("--at: %w", err)
	}
	query := url.Values{"at": {at.Format(time.RFC3339Nano)}, "limit": {"200"}}
	all := notifications.InboxPage{Items: []notifications.InboxItem{}}
	for {
		var page notifications.InboxPage
		if err := c.get(ctx, "/v1/users/"+url.PathEscape(c.User)+"/inbox", query, &page); err != nil {
			return err
		}
		page.Items = append(all.Items, page.Items...)
		all = page
		if page.Next == "" {
			return indented(env.Stdout, all)
		}
		query.Set("before", page.Next)
	}
}

// moment reads a time with or without seconds.
func moment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("want a time such as 2026-11-01T10:00Z, got %q", text)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tidings/notifications"
	"tidings/persistence"
)

// tokenVariable holds the token of publish, which a command line would show.
const tokenVariable = "TIDINGS_TOKEN"

type publishCommand struct {
	To          string        `required:"" placeholder:"RECIPIENT" help:"user/ID, role/NAME, group/NAME or everyone."`
	Title       string        `help:"One line for people."`
	Body        string        `help:"More text for people."`
	DataJSON    string        `name:"data-json" placeholder:"JSON" help:"Any JSON, for programs."`
	ID          string        `name:"id" help:"Unique id: publishing it twice within two minutes stores it once."`
	Type        string        `help:"Dotted category, such as order.shipped."`
	Severity    string        `help:"info, success, warning or critical."`
	Source      string        `help:"Who emits."`
	Link        string        `help:"http(s) or relative link."`
	CollapseKey string        `help:"A later event of the same key replaces an unread earlier one."`
	TTL         time.Duration `name:"ttl" help:"How long the event is of interest."`
	At          string        `placeholder:"TIME" help:"Deliver it then, such as 2026-11-01T10:00Z. Needs --url."`
	Hub         string        `default:"notifications" help:"The hub."`

	URL   string `name:"url" xor:"way" placeholder:"URL" help:"The server to post to, such as http://127.0.0.1:8080."`
	Token string `env:"TIDINGS_TOKEN" help:"Token of an emitter, for --url."`

	natsServer

	Timeout time.Duration `default:"15s" help:"How long it may take."`
}

func (c publishCommand) Run(ctx context.Context, env environment) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	event, err := c.event()
	if err != nil {
		return err
	}
	var receipt notifications.Receipt
	switch {
	case c.URL != "":
		receipt, err = c.post(ctx, event)
	case c.NATS != "":
		receipt, err = c.emit(ctx, event)
	default:
		return errors.New("where to: give --url or --nats")
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(env.Stdout).Encode(receipt)
}

func (c publishCommand) event() (notifications.Event, error) {
	to, err := notifications.ParseRecipient(c.To)
	if err != nil {
		return notifications.Event{}, err
	}
	e := notifications.Event{
		ID: c.ID, Recipient: to, Type: c.Type, Source: c.Source, Title: c.Title, Body: c.Body, Link: c.Link,
		Severity: notifications.Severity(c.Severity), CollapseKey: c.CollapseKey,
	}
	if c.DataJSON != "" {
		if !json.Valid([]byte(c.DataJSON)) {
			return e, errors.New("--data-json is no valid JSON")
		}
		e.Data = json.RawMessage(c.DataJSON)
	}
	if c.TTL > 0 {
		e.ExpiresAt = time.Now().Add(c.TTL)
	}
	if c.At != "" {
		if e.NotBefore, err = moment(c.At); err != nil {
			return e, fmt.Errorf("--at: %w", err)
		}
	}
	if e.ID == "" {
		e.ID = notifications.NewID() // a repeated request is the same event
	}
	return e, nil
}

// emit appends to the log without the help of a server.
func (c publishCommand) emit(ctx context.Context, e notifications.Event) (notifications.Receipt, error) {
	conn, err := c.connect()
	if err != nil {
		return notifications.Receipt{}, err
	}
	commands := notifications.NewCommands(notifications.CommandsOptions{Log: persistence.NewAppender(conn, nil)})
	receipt, err := commands.Emit(ctx, c.Hub, e)
	return receipt, errors.Join(err, conn.Close(ctx))
}

func (c publishCommand) post(ctx context.Context, e notifications.Event) (notifications.Receipt, error) {
	var receipt notifications.Receipt
	body, err := json.Marshal(e)
	if err != nil {
		return receipt, err
	}
	address := strings.TrimRight(c.URL, "/") + "/v1/notifications?hub=" + url.QueryEscape(c.Hub)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return receipt, err
	}
	request.Header.Set("Content-Type", "application/json")
	return receipt, answerTo(request, c.Token, &receipt)
}
